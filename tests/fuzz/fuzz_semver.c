/* "version, newline, range": no crash, and what is accepted has a canonical form that reads back
 * the same and answers the same. */
#include "lock/semver.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c)                                                                                   \
	do {                                                                                       \
		if (!(c))                                                                          \
			abort();                                                                   \
	} while (0)

static bool check_version(struct slice text, unsigned flags, struct semver *ret)
{
	char once[SEMVER_TEXT_MAX], twice[SEMVER_TEXT_MAX];
	struct semver v;
	size_t n;

	if (semver_parse(ret, text, flags) < 0)
		return false;
	n = semver_format(ret, once);
	CHECK(n < sizeof once);
	if (n > SEMVER_LEN_MAX) /* loose added a hyphen to the longest text there is */
		return true;
	CHECK(semver_parse(&v, slice_str(once), flags) == 0);
	(void)semver_format(&v, twice);
	CHECK(strcmp(once, twice) == 0);
	CHECK(semver_cmp(ret, &v) == 0);
	return true;
}

static char *format(const struct semver_range *r)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);

	buf_add(&b, "", 0);
	semver_range_format(r, &b);
	return buf_steal_str(&b);
}

static void check_range(struct slice text, unsigned flags, const struct semver *v)
{
	auto_range struct semver_range r = { 0 }, again = { 0 }, third = { 0 };
	auto_free char *once = NULL, *twice = NULL, *thrice = NULL;

	if (semver_range_parse(&r, text, flags) < 0)
		return;
	once = format(&r);
	CHECK(once != NULL);
	(void)semver_range_intersects(&r, &r);
	if (semver_range_parse(&again, slice_str(once), flags) < 0) {
		/* Loose gave a hyphen to the longest version there is. */
		CHECK(strlen(once) > SEMVER_LEN_MAX);
		return;
	}
	/* `>=00.0.0` prints as `>=0.0.0`, which reads as "any": npm's text settles at the second
	 * reading. What it means is the same from the first, but that "any" takes no prerelease,
	 * and `1.2.3-a||>=00.0.0` took one. */
	twice = format(&again);
	CHECK(twice && semver_range_parse(&third, slice_str(twice), flags) == 0);
	thrice = format(&third);
	CHECK(thrice && strcmp(twice, thrice) == 0);
	CHECK(strcmp(once, twice) == 0 || strstr(once, ">=0.0.0"));
	if (v && (v->pre.len == 0 || strcmp(once, twice) == 0))
		CHECK(semver_range_test(&r, v) == semver_range_test(&again, v));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nl = size ? memchr(data, '\n', size) : NULL;
	size_t n = nl ? (size_t)(nl - data) : size;
	struct slice version = { data, n },
		     range = { data + n + (nl != NULL), size - n - (nl != NULL) };

	for (unsigned flags = 0; flags < 4; flags++) {
		struct semver v;
		bool ok = check_version(version, flags, &v);

		check_range(range, flags, ok ? &v : NULL);
		(void)semver_satisfies(version, range, flags);
	}
	return 0;
}
