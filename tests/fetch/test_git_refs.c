#include "fetch/git_refs.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* Lines "x name": x stands for a commit of 40 digits. */
static void parse(struct git_refs *ret, char *text, const char *lines)
{
	char *to = text;

	for (; *lines; lines++) {
		if (lines[1] == ' ' && (to == text || to[-1] == '\n')) {
			memset(to, *lines, 40);
			to += 40;
			*to++ = '\t';
			lines++;
		} else {
			*to++ = *lines;
		}
	}
	*to = '\0';
	cr_assert(git_refs_parse(ret, text, (size_t)(to - text), NULL) == 0);
}

static void picks(const struct git_refs *r, const char *range, const char *want)
{
	const struct git_ref *at = git_refs_pick(r, slice_str(range));
	const char *got = at ? at->name : "none";

	if (strcmp(got, want) != 0)
		(void)fprintf(stderr, "%s: want %s, got %s\n", range, want, got);
	cr_expect(strcmp(got, want) == 0);
}

static void names(const struct git_refs *r, const char *name, char want)
{
	const struct git_ref *at = git_refs_named(r, name);

	cr_expect((at ? at->sha[0] : '-') == want);
}

Test(git_refs, names)
{
	auto_git_refs struct git_refs r = { 0 };
	char text[4096];

	parse(&r, text,
	      "a HEAD\nb refs/heads/main\nc refs/heads/both\nd refs/pull/7/head\n"
	      "e refs/pull/7/merge\nf refs/tags/both\n1 refs/tags/old\n2 refs/tags/old^{}\n"
	      "what is this\nzz refs/heads/no-commit\n3 refs/other/x\n");
	cr_expect(r.count == 8);
	names(&r, "HEAD", 'a');
	names(&r, "main", 'b');
	names(&r, "refs/heads/main", 'b');
	names(&r, "both", 'f');
	names(&r, "pull/7", 'd');
	names(&r, "pull/7/merge", 'e');
	names(&r, "old", '2');
	names(&r, "refs/tags/old", '2');
	names(&r, "refs/other/x", '3');
	names(&r, "x", '-');
	names(&r, "old^{}", '-');
	names(&r, "", '-');
	cr_expect(strlen(r.list[6].sha) == 40);
}

Test(git_refs, versions)
{
	auto_git_refs struct git_refs r = { 0 };
	char text[4096];

	parse(&r, text,
	      "a HEAD\nb refs/heads/9.0.0\n1 refs/tags/v1.0.0\n2 refs/tags/pkg-1.2.0\n"
	      "3 refs/tags/v1.3.0-rc.1\n4 refs/tags/2.0.0\n5 refs/tags/v3.0.0x\n"
	      "6 refs/tags/v4.0.0-\n7 refs/tags/1.2\n");
	picks(&r, "^1", "refs/tags/pkg-1.2.0");
	picks(&r, "", "refs/tags/2.0.0");
	picks(&r, ">=1.3.0-a <2", "refs/tags/v1.3.0-rc.1");
	picks(&r, "^3 || ^4 || ^9", "none");
	picks(&r, "no range at all!", "none");
}

Test(git_refs, the_version_at_head_comes_first_and_one_called_latest_before_it)
{
	auto_git_refs struct git_refs r = { 0 }, l = { 0 };
	char text[4096], more[4096];

	parse(&r, text, "a HEAD\na refs/heads/main\na refs/tags/1.0.0\nb refs/tags/1.1.0\n");
	picks(&r, "^1", "refs/tags/1.0.0");
	picks(&r, "^1.0.1", "refs/tags/1.1.0");
	parse(&l, more,
	      "a HEAD\nb refs/heads/latest\na refs/tags/1.0.0\nb refs/tags/1.1.0\n"
	      "c refs/tags/1.2.0\n");
	picks(&l, "^1", "refs/tags/1.1.0");
}

/* Thousands of them, all digits, would take hours. */
Test(git_refs, an_overlong_tag_is_no_version)
{
	auto_git_refs struct git_refs r = { 0 };
	static char text[8192];
	char fill[1101] = "";

	memset(fill, '1', sizeof fill - 1);
	(void)snprintf(text, sizeof text,
		       "%040d\trefs/tags/1.0.0\n%040d\trefs/tags/%s-1.1.0\n"
		       "%040d\trefs/tags/%.900s-1.0.5\n",
		       1, 2, fill, 3, fill);
	cr_assert_eq(git_refs_parse(&r, text, strlen(text), NULL), 0);
	cr_expect_eq(r.count, 3);
	cr_assert(git_refs_pick(&r, SLICE("^1")) != NULL);
	cr_expect(strstr(git_refs_pick(&r, SLICE("^1"))->name, "-1.0.5") != NULL);
}

Test(git_refs, commits)
{
	cr_expect(git_is_sha(SLICE("0123456789abcdef0123456789abcdef01234567")));
	cr_expect(!git_is_sha(SLICE("0123456789abcdef0123456789abcdef0123456")));
	cr_expect(!git_is_sha(SLICE("0123456789ABCDEF0123456789abcdef01234567")));
}
