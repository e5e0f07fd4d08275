#include "core/file.h"
#include "lock/spec.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>

enum { NAME, VALUE, TYPE, FETCH, COMMITTISH, RANGE, SUBDIR, HOST, HTTPS, SSH, COLUMNS };

static const char *const host_names[] = {
	"", "github", "bitbucket", "gitlab", "gist", "sourcehut"
};
static const char *const type_names[] = { "version", "range",  "tag",  "alias",
					  "git",     "remote", "file", "directory" };

static bool same(const char *what, char **row, struct slice got, const char *want)
{
	if (slice_eq(got, slice_str(want)))
		return true;
	(void)fprintf(stderr, "'%s': %s: want '%s', got '%.*s'\n", row[VALUE], what, want,
		      SLICE_FMT(got));
	return false;
}

static void check_parts(char **row, const struct spec *s, struct arena *a)
{
	struct slice fetch = s->fetch;

	if (s->type == SPEC_ALIAS)
		fetch = slice_str(arena_printf(a, "%.*s %s %.*s", SLICE_FMT(s->alias_name),
					       type_names[s->alias_type], SLICE_FMT(s->fetch)));
	cr_expect(same("type", row, slice_str(type_names[s->type]), row[TYPE]));
	cr_expect(same("fetch", row, fetch, row[FETCH]));
	cr_expect(same("committish", row, s->committish, row[COMMITTISH]));
	cr_expect(same("range", row, s->git_range, row[RANGE]));
	cr_expect(same("subdir", row, s->git_subdir, row[SUBDIR]));
	cr_expect(same("host", row, slice_str(host_names[s->host]), row[HOST]));
	cr_expect(same("https", row, s->https, row[HTTPS]));
	cr_expect(same("ssh", row, s->ssh, row[SSH]));
}

static void check_row(char **row)
{
	auto_arena struct arena a = ARENA_INIT(1 << 20);
	struct err e = { 0 };
	struct spec s;
	int r = spec_parse(&s, slice_str(row[NAME]), slice_str(row[VALUE]), SLICE("/where/base"),
			   &a, &e);

	if (r == 0) {
		check_parts(row, &s, &a);
		return;
	}
	cr_expect(same("type", row, SLICE("refused"), row[TYPE]));
	cr_expect_eq(r, -EINVAL);
	cr_expect(e.msg[0] != '\0', "'%s' is refused without a sentence", row[VALUE]);
}

Test(spec, classifies_as_npm_does)
{
	auto_free char *data = NULL;
	unsigned rows = 0;
	size_t len;

	cr_assert_eq(setenv("HOME", "/home/me", 1), 0);
	cr_assert_eq(
		file_read_all(AT_FDCWD, TESTS_DIR "/lock/spec.data", 1 << 20, &data, &len, NULL),
		0);
	for (char *rest = data, *line; (line = strsep(&rest, "\n"));) {
		char *row[COLUMNS];

		if (*line == '\0' || *line == '#')
			continue;
		for (unsigned i = 0; i < COLUMNS; i++) {
			row[i] = strsep(&line, "\t");
			cr_assert(row[i] != NULL);
		}
		cr_assert(line == NULL);
		check_row(row);
		rows++;
	}
	cr_expect(rows > 150, "only %u rows", rows);
}

static int refuse(const char *value, struct err *e)
{
	auto_arena struct arena a = ARENA_INIT(1 << 20);
	struct spec s;

	return spec_parse(&s, SLICE("foo"), slice_str(value), SLICE("/"), &a, e);
}

Test(spec, a_refusal_names_the_value_and_what_is_wrong)
{
	struct err e;

	cr_expect_eq(refuse("workspace:*", &e), -EINVAL);
	cr_expect(strstr(e.msg, "'workspace:*'") && strstr(e.msg, "protocol"));
	cr_expect_eq(refuse("npm:a@npm:b", &e), -EINVAL);
	cr_expect(strstr(e.msg, "another alias") != NULL);
	cr_expect_eq(refuse("foo bar", &e), -EINVAL);
	cr_expect(strstr(e.msg, "'foo bar'") && strstr(e.msg, "tag"));
	cr_expect_eq(refuse("user/repo#a::b", &e), -EINVAL);
	cr_expect(strstr(e.msg, "more than one") != NULL);
}

Test(spec, values_have_a_limit)
{
	static char long_value[SPEC_LEN_MAX + 2];
	struct err e;

	memset(long_value, 'a', SPEC_LEN_MAX + 1);
	cr_expect_eq(refuse(long_value, &e), -E2BIG);
	long_value[SPEC_LEN_MAX] = '\0';
	cr_expect_eq(refuse(long_value, &e), 0);
	memset(long_value, '/', SPEC_LEN_MAX);
	cr_expect_eq(refuse(long_value, &e), 0);
}

Test(spec, memory_that_runs_out_is_an_error)
{
	static const char *values[] = { "user/repo#x", "file:../x", "git+https://host.test/x",
					"git@host.test:x", "npm:a@user/b" };

	for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
		for (size_t max = 1; max < 400; max += 7) {
			auto_arena struct arena a = ARENA_INIT(max);
			struct spec s = { .type = SPEC_TAG };
			struct err e = { 0 };
			int r = spec_parse(&s, SLICE("foo"), slice_str(values[i]), SLICE("/w"), &a,
					   &e);

			cr_expect(r == 0 || e.msg[0] != '\0');
			cr_expect(r == 0 || s.type == SPEC_TAG);
			cr_expect(r != 0 || arena_error(&a) == 0);
		}
	}
}
