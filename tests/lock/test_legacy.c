#include "lock/legacy.h"
#include "tests/lock/sample.h"

#include <stdio.h>

/* As npm 11 wrote it, but for integrities and licences. */
static const char npm_wrote[] =
	"{\"name\":\"p\",\"version\":\"1.0.0\",\"lockfileVersion\":2,\"requires\":true,"
	"\"packages\":{"
	"\"\":{\"name\":\"p\",\"version\":\"1.0.0\",\"dependencies\":{\"bundler\":\"1\","
	"\"fromgit\":\"git+file:///srv/fromgit\",\"lf\":\"npm:leaf@^1.0.0\",\"needs-leaf2"
	"\":\"1\",\"tarred\":\"file:../x/leaf-2.0.0.tgz\",\"web\":\"https://registry.test"
	"/-/files/leaf-1.0.0.tgz\",\"x\":\"file:../x\"},\"devDependencies\":{\"peered\":"
	"\"1\"},\"optionalDependencies\":{\"cycle-a\":\"1\"}},"
	"\"../x\":{\"version\":\"1.0.0\",\"dependencies\":{\"leaf\":\"1\"}},"
	"\"node_modules/a\":{\"resolved\":\"packages/a\",\"link\":true},"
	"\"node_modules/bundler\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry."
	"test/bundler/-/bundler-1.0.0.tgz\",\"bundleDependencies\":[\"inner\",\"@in/scope"
	"d\",\"inner-missing\"],\"dependencies\":{\"@in/scoped\":\"1\",\"inner\":\"1\","
	"\"inner-missing\":\"1\",\"leaf\":\"1\"}},"
	"\"node_modules/bundler/node_modules/@in/scoped\":{\"version\":\"1.0.0\",\"inBund"
	"le\":true},"
	"\"node_modules/bundler/node_modules/inner\":{\"version\":\"1.0.0\",\"inBundle\":"
	"true,\"dependencies\":{\"deep\":\"1\"}},"
	"\"node_modules/bundler/node_modules/inner/node_modules/deep\":{\"version\":\"1.0"
	".0\",\"inBundle\":true},"
	"\"node_modules/cycle-a\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry."
	"test/cycle-a/-/cycle-a-1.0.0.tgz\",\"optional\":true,\"dependencies\":{\"cycle-b"
	"\":\"1\"}},"
	"\"node_modules/cycle-b\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry."
	"test/cycle-b/-/cycle-b-1.0.0.tgz\",\"optional\":true,\"dependencies\":{\"cycle-a"
	"\":\"1\"}},"
	"\"node_modules/fromgit\":{\"version\":\"1.2.3\",\"resolved\":\"git+file:///srv/f"
	"romgit#d32ac87ee988c3e9a1f89339fc7347993861b813\",\"dependencies\":{\"leaf\":\"1"
	"\"}},"
	"\"node_modules/leaf\":{\"version\":\"1.1.0\",\"resolved\":\"https://registry.tes"
	"t/leaf/-/leaf-1.1.0.tgz\"},"
	"\"node_modules/lf\":{\"name\":\"leaf\",\"version\":\"1.1.0\",\"resolved\":\"http"
	"s://registry.test/leaf/-/leaf-1.1.0.tgz\"},"
	"\"node_modules/needs-leaf2\":{\"version\":\"1.0.0\",\"resolved\":\"https://regis"
	"try.test/needs-leaf2/-/needs-leaf2-1.0.0.tgz\",\"dependencies\":{\"leaf\":\"^2.0"
	".0\"}},"
	"\"node_modules/needs-leaf2/node_modules/leaf\":{\"version\":\"2.0.0\",\"resolved"
	"\":\"https://registry.test/leaf/-/leaf-2.0.0.tgz\"},"
	"\"node_modules/peered\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry.t"
	"est/peered/-/peered-1.0.0.tgz\",\"dev\":true,\"peerDependencies\":{\"leaf\":\"^1"
	".0.0\"}},"
	"\"node_modules/tarred\":{\"name\":\"leaf\",\"version\":\"2.0.0\",\"resolved\":"
	"\"file:../x/leaf-2.0.0.tgz\"},"
	"\"node_modules/web\":{\"name\":\"leaf\",\"version\":\"1.0.0\",\"resolved\":\"htt"
	"ps://registry.test/-/files/leaf-1.0.0.tgz\"},"
	"\"node_modules/x\":{\"resolved\":\"../x\",\"link\":true},"
	"\"packages/a\":{\"version\":\"1.0.0\",\"dependencies\":{\"leaf\":\"2\",\"x\":\"f"
	"ile:../../../x\"},\"devDependencies\":{\"peered\":\"1\"}},"
	"\"packages/a/node_modules/leaf\":{\"version\":\"2.0.0\",\"resolved\":\"https://r"
	"egistry.test/leaf/-/leaf-2.0.0.tgz\"}},"
	"\"dependencies\":{"
	"\"a\":{\"version\":\"file:packages/a\",\"requires\":{\"leaf\":\"2\",\"peered\":"
	"\"1\",\"x\":\"file:../../../x\"},\"dependencies\":{\"leaf\":{\"version\":\"2.0.0"
	"\",\"resolved\":\"https://registry.test/leaf/-/leaf-2.0.0.tgz\"}}},"
	"\"bundler\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry.test/bundler/"
	"-/bundler-1.0.0.tgz\",\"requires\":{\"@in/scoped\":\"1\",\"inner\":\"1\",\"inner"
	"-missing\":\"1\",\"leaf\":\"1\"},\"dependencies\":{\"@in/scoped\":{\"version\":"
	"\"1.0.0\",\"bundled\":true},\"inner\":{\"version\":\"1.0.0\",\"bundled\":true,"
	"\"requires\":{\"deep\":\"1\"},\"dependencies\":{\"deep\":{\"version\":\"1.0.0\","
	"\"bundled\":true}}}}},"
	"\"cycle-a\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry.test/cycle-a/"
	"-/cycle-a-1.0.0.tgz\",\"optional\":true,\"requires\":{\"cycle-b\":\"1\"}},"
	"\"cycle-b\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry.test/cycle-b/"
	"-/cycle-b-1.0.0.tgz\",\"optional\":true,\"requires\":{\"cycle-a\":\"1\"}},"
	"\"fromgit\":{\"version\":\"git+file:///srv/fromgit#d32ac87ee988c3e9a1f89339fc734"
	"7993861b813\",\"from\":\"fromgit@git+file:///srv/fromgit\",\"requires\":{\"leaf"
	"\":\"1\"}},"
	"\"leaf\":{\"version\":\"1.1.0\",\"resolved\":\"https://registry.test/leaf/-/leaf"
	"-1.1.0.tgz\"},"
	"\"lf\":{\"version\":\"npm:leaf@1.1.0\",\"resolved\":\"https://registry.test/leaf"
	"/-/leaf-1.1.0.tgz\"},"
	"\"needs-leaf2\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry.test/need"
	"s-leaf2/-/needs-leaf2-1.0.0.tgz\",\"requires\":{\"leaf\":\"^2.0.0\"},\"dependenc"
	"ies\":{\"leaf\":{\"version\":\"2.0.0\",\"resolved\":\"https://registry.test/leaf"
	"/-/leaf-2.0.0.tgz\"}}},"
	"\"peered\":{\"version\":\"1.0.0\",\"resolved\":\"https://registry.test/peered/-/"
	"peered-1.0.0.tgz\",\"dev\":true,\"requires\":{}},"
	"\"tarred\":{\"version\":\"file:../x/leaf-2.0.0.tgz\"},"
	"\"web\":{\"version\":\"https://registry.test/-/files/leaf-1.0.0.tgz\"},"
	"\"x\":{\"version\":\"file:../x\",\"requires\":{\"leaf\":\"1\"}}}}";

/* The old part of a lock, from the new one. */
static char *made_of(const char *text)
{
	auto_graph struct graph *g = sample_graph(text);
	auto_buf struct buf b = BUF_INIT(1 << 20);
	struct err e = { 0 };

	if (legacy_put(g, "/srv/p", &b, &e) < 0)
		(void)fprintf(stderr, "legacy: %s\n", e.msg);
	return buf_steal_str(&b);
}

Test(legacy, what_npm_wrote_comes_of_its_packages)
{
	static const char front[] = "{\"requires\":true,\"dependencies\":";
	auto_graph struct graph *g = sample_graph(npm_wrote);
	auto_free char *made = made_of(npm_wrote);
	const char *want = g->top_residue + sizeof front - 1;
	size_t n = strlen(made);

	cr_assert(strncmp(g->top_residue, front, sizeof front - 1) == 0);
	if (strncmp(want, made, n) != 0)
		(void)fprintf(stderr, "got:\n%s\nnot:\n%s\n", made, want);
	cr_assert(strncmp(want, made, n) == 0);
	cr_assert(strcmp(want + n, "}") == 0);
}

Test(legacy, links_in_a_circle_end)
{
	auto_free char *made = made_of(
		"{\"lockfileVersion\":3,\"packages\":{\"\":{},"
		"\"node_modules/a\":{\"resolved\":\"packages/a\",\"link\":true},"
		"\"packages/a\":{},\"packages/b\":{},"
		"\"packages/a/node_modules/b\":{\"resolved\":\"packages/b\",\"link\":true},"
		"\"packages/b/node_modules/a\":{\"resolved\":\"packages/a\",\"link\":true}}}");

	cr_assert(strcmp(made, "{\"a\":{\"version\":\"file:packages/a\",\"dependencies\":{"
			       "\"b\":{\"version\":\"file:packages/b\","
			       "\"extraneous\":true}}}}") == 0);
}

Test(legacy, a_project_without_packages_has_none)
{
	auto_free char *made = made_of("{\"lockfileVersion\":3,\"packages\":{\"\":{}}}");

	cr_assert(strcmp(made, "") == 0);
}
