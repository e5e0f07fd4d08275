/* Stands in for node: prints the version $FAKE_NODE_VERSION, and notes in $FAKE_NODE_LOG that it
 * ran. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	const char *log = getenv("FAKE_NODE_LOG"), *version = getenv("FAKE_NODE_VERSION");
	FILE *f = log ? fopen(log, "a") : NULL;

	if (f) {
		(void)fputs(getenv("NODE_OPTIONS") ? "!" : ".", f);
		(void)fclose(f);
	}
	(void)printf("%s\n", version ? version : "");
	return 0;
}
