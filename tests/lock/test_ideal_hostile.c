#include "core/file.h"
#include "lock/ideal.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>

/* Registries that answer whatever is asked, and never come to an end: each must end here, with a
 * sentence. */

static const struct platform node20 = { .os = "linux",
					.cpu = "x64",
					.libc = "glibc",
					.npm_version = "11.19.1",
					.node_version = "20.1.0" };

/* Writes the packument's versions: "1.0.0":{...},... */
typedef void write_fn(struct buf *json, const char *name);

struct answer {
	struct answer *next;
	struct buf blob;
	struct packument p;
};

struct liar {
	write_fn *write;
	struct answer *answers;
	unsigned asked;
};

static int packument(void *self, const char *name, const struct packument **ret, struct err *e)
{
	const struct packument_origin from = { .name = name };
	auto_buf struct buf json = BUF_INIT((size_t)64 << 20);
	struct liar *liar = self;
	struct answer *a = calloc(1, sizeof *a);
	int r;

	cr_assert(a);
	a->next = liar->answers;
	liar->answers = a;
	liar->asked++;
	a->blob = (struct buf)BUF_INIT((size_t)64 << 20);
	buf_addf(&json, "{\"name\":\"%s\",\"versions\":{", name);
	liar->write(&json, name);
	buf_addstr(&json, "}}");
	r = packument_build(&a->blob, (struct slice){ json.data, json.len }, &from, e);
	if (r == 0)
		r = packument_open(&a->p, (struct slice){ a->blob.data, a->blob.len }, e);
	*ret = &a->p;
	return r;
}

static void liar_release(struct liar *liar)
{
	for (struct answer *a = liar->answers, *next; a; a = next) {
		next = a->next;
		buf_release(&a->blob);
		free(a);
	}
}

static int resolve(struct liar *liar, struct ideal_options *o, const char *manifest, struct err *e)
{
	auto_ideal_result struct ideal_result result = IDEAL_RESULT_INIT;
	const struct catalog c = { .packument = packument, .self = liar };
	const struct manifest_text text = { "", slice_str(manifest) };
	char dir[TEST_DIR_SIZE], command[64];
	int r;

	test_dir(dir, sizeof dir);
	o->catalog = &c;
	o->platform = &node20;
	o->dir = dir;
	o->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	o->manifests = (struct manifest_texts){ &text, 1 };
	r = ideal_build(&result, slice_str(""), o, e);
	(void)close(o->dirfd);
	(void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
	cr_assert(system(command) == 0);
	liar_release(liar);
	return r;
}

static void gives_up(struct liar *liar, struct ideal_options *o, const char *manifest,
		     const char *words)
{
	struct err e = { 0 };
	int r = resolve(liar, o, manifest, &e);

	if (r != -E2BIG || !strstr(e.msg, words)) {
		(void)fprintf(stderr, "got: %d %s\nnot: %s\n", r, e.msg, words);
		cr_expect(false);
	}
}

static void version(struct buf *json, const char *name, unsigned v)
{
	buf_addf(json, "%s\"%u.0.0\":{\"name\":\"%s\",\"version\":\"%u.0.0\",\"dependencies\":{",
		 json->data[json->len - 1] == '{' ? "" : ",", v, name, v);
}

/* Each package depends on a new one. */
static void one_more(struct buf *json, const char *name)
{
	version(json, name, 1);
	buf_addf(json, "\"p%u\":\"*\"}}", (unsigned)strtoul(name + 1, NULL, 10) + 1);
}

static void ten_more(struct buf *json, const char *name)
{
	unsigned n = (unsigned)strtoul(name + 1, NULL, 10);

	version(json, name, 1);
	for (unsigned i = 1; i <= 10; i++)
		buf_addf(json, "%s\"p%u\":\"*\"", i > 1 ? "," : "", n * 10 + i);
	buf_addstr(json, "}}");
}

Test(hostile, a_universe_without_end)
{
	struct ideal_options o = { .max.packuments = 3000 };
	struct liar thin = { .write = one_more }, wide = { .write = ten_more };

	gives_up(&thin, &o, "{\"dependencies\":{\"p0\":\"*\"}}",
		 "with 3001 packages at 3000 places: there are more and more of them");
	cr_expect(thin.asked == 3000);
	gives_up(&wide, &o, "{\"dependencies\":{\"p0\":\"*\"}}", "there are more and more of them");
	cr_expect(wide.asked == 3000);
}

/* Each version depends on the one before: they nest. */
static void nests(struct buf *json, const char *name)
{
	for (unsigned v = 1; v <= PACKUMENT_VERSIONS_MAX; v++) {
		version(json, name, v);
		buf_addf(json, "\"%s\":\"%u.0.0\"}}", name, v - 1);
	}
}

Test(hostile, a_hundred_thousand_versions)
{
	struct ideal_options o = { 0 };
	struct liar deep = { .write = nests };

	gives_up(&deep, &o, "{\"dependencies\":{\"v\":\"*\"}}", "nested too deeply");
}

static void too_many(struct buf *json, const char *name)
{
	for (unsigned v = 1; v <= PACKUMENT_VERSIONS_MAX + 1; v++) {
		version(json, name, v);
		buf_addstr(json, "}}");
	}
}

Test(hostile, more_versions_than_can_be_true)
{
	struct ideal_options o = { 0 };
	struct liar many = { .write = too_many };

	gives_up(&many, &o, "{\"dependencies\":{\"v\":\"*\"}}",
		 "v: what the registry says of it has more versions or dependencies than can be "
		 "true");
}

/* Thirty names of eight versions, each of which wants six others in certain versions, some as
 * peers: hardly anything can be shared, and everything depends on everything. */
static unsigned random_state;
static unsigned draw(unsigned below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % below;
}

static void crosswise(struct buf *json, const char *name)
{
	random_state = (unsigned)strtoul(name + 1, NULL, 10) + 1;
	for (unsigned v = 1; v <= 8; v++) {
		version(json, name, v);
		for (unsigned i = 0; i < 6; i++)
			buf_addf(json, "%s\"x%u\":\"%u.0.0\"", i ? "," : "", draw(30), 1 + draw(8));
		buf_addstr(json, "},\"peerDependencies\":{");
		buf_addf(json, "\"x%u\":\">=%u\"}}", draw(30), 1 + draw(8));
	}
}

Test(hostile, versions_crosswise)
{
	struct ideal_options o = { .max.work = 20000000 };
	struct liar liar = { .write = crosswise };

	gives_up(&liar, &o, "{\"dependencies\":{\"x1\":\"1\",\"x2\":\"2\",\"x3\":\"3\"}}",
		 "their dependencies multiply without end; remove what brings them, or pin or "
		 "override its version");
}

Test(hostile, memory)
{
	struct ideal_options o = { .max.memory = (size_t)4 << 20 };
	struct liar liar = { .write = ten_more };

	gives_up(&liar, &o, "{\"dependencies\":{\"p0\":\"*\"}}", "takes too much memory");
}

/* Everything depends on everything, also as a peer: that ends. */
static void circles(struct buf *json, const char *name)
{
	version(json, name, 1);
	for (unsigned i = 0; i < 40; i++)
		buf_addf(json, "%s\"c%u\":\"*\"", i ? "," : "", i);
	buf_addf(json, "},\"peerDependencies\":{\"c%u\":\"*\"}}",
		 (unsigned)strtoul(name + 1, NULL, 10) % 39 + 1);
}

Test(hostile, circles)
{
	struct ideal_options o = { 0 };
	struct liar liar = { .write = circles };
	struct err e = { 0 };

	cr_expect(resolve(&liar, &o, "{\"dependencies\":{\"c0\":\"*\"}}", &e) == 0, "%s", e.msg);
}

/* Two long lists, each of whose members is looked for in the other. */
static void long_lists(struct buf *json, const char *name)
{
	static const char *const lists[] = { "optionalDependencies", "peerDependencies",
					     "peerDependenciesMeta" };

	version(json, name, 1);
	for (unsigned i = 0; i < 9000; i++)
		buf_addf(json, "%s\"a-name-of-some-length-%u\":\"*\"", i ? "," : "", i);
	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		buf_addf(json, "},\"%s\":{", lists[k]);
		for (unsigned i = 0; i < 9000; i++)
			buf_addf(json, "%s\"a-name-of-some-length-%u\":%s", i ? "," : "", i,
				 k == 2 ? "{\"optional\":true}" : "\"*\"");
	}
	buf_addstr(json, "}}");
	version(json, name, 2);
	for (unsigned i = 0; i < GRAPH_DEPS_MAX + 1; i++)
		buf_addf(json, "%s\"d%u\":\"*\"", i ? "," : "", i);
	buf_addstr(json, "}}");
}

Test(hostile, long_lists)
{
	struct liar liar = { .write = long_lists };
	const struct packument *p;
	struct err e = { 0 };

	/* Version 2 makes no sense; of 1 the dependencies are the optional ones, and the peers. */
	cr_assert(packument(&liar, "l", &p, &e) == 0, "%s", e.msg);
	cr_expect(p->head->version_count == 1);
	cr_expect(p->head->dep_count == 18000);
	cr_expect(p->deps[0].section == SECTION_OPTIONAL);
	cr_expect(p->deps[17999].section == SECTION_PEER && p->deps[17999].peer_optional);
	liar_release(&liar);
}
