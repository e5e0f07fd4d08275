#include "lock/pinned_priv.h"

#define PINNED_MEMORY_MAX                                                                          \
	(PINNED_SIZE_MAX * 8) /* of all strings and pins: the text several times */

int pinned_add(struct pinned *p, const char *key, const struct pin *pin, struct err *e)
{
	if (!key || !pin)
		return err_set(e, -ENOMEM, "out of memory");
	if (p->count == PINNED_DEMANDS_MAX)
		return err_set(e, -E2BIG, "more than %u demands are pinned", PINNED_DEMANDS_MAX);
	if (p->count == p->cap) {
		uint32_t more = p->cap ? p->cap * 2 : 1024;
		struct pinned_demand *bigger = reallocarray(p->demands, more, sizeof *bigger);

		if (!bigger)
			return err_set(e, -ENOMEM, "out of memory");
		p->demands = bigger;
		p->cap = more;
	}
	p->demands[p->count] = (struct pinned_demand){ key, pin, p->count };
	p->count++;
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct pinned_demand *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* Of those with the same key the last stays. */
static void sort(struct pinned *p)
{
	uint32_t n = 0;

	if (p->count == 0)
		return;
	qsort(p->demands, p->count, sizeof *p->demands, by_key);
	for (uint32_t i = 0; i < p->count; i++) {
		if (i + 1 == p->count || strcmp(p->demands[i].key, p->demands[i + 1].key) != 0)
			p->demands[n++] = p->demands[i];
	}
	p->count = n;
}

/* The first thing in it that is neither white space nor a comment. */
static uint8_t first_of(struct slice text)
{
	size_t at = 0;

	while (at < text.len) {
		uint8_t c = text.ptr[at];
		bool comment =
			c == '#' || (c == '/' && at + 1 < text.len && text.ptr[at + 1] == '/');

		if (!comment && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			return c;
		if (comment)
			while (at < text.len && text.ptr[at] != '\n')
				at++;
		else
			at++;
	}
	return 0;
}

int pinned_parse(struct pinned **ret, struct slice text, const char *file, struct err *e)
{
	static const char bun_binary[] = "\nbun-lockfile-format-v";
	auto_pinned struct pinned *p = calloc(1, sizeof *p);
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->arena = (struct arena)ARENA_INIT(PINNED_MEMORY_MAX);
	p->remarks = (struct buf)BUF_INIT((size_t)1 << 20);
	p->file = arena_strdup(&p->arena, file);
	if (!p->file)
		return err_set(e, -ENOMEM, "out of memory");
	if (text.len > PINNED_SIZE_MAX)
		return err_set(e, -E2BIG, "%s: larger than %zu MiB", file, PINNED_SIZE_MAX >> 20);
	if (text.len && memmem(text.ptr, text.len, bun_binary, sizeof bun_binary - 1))
		return err_set(e, -ENOTSUP,
			       "%s: this is a binary lock of bun, which is not read; `bun install "
			       "--save-text-lockfile` writes a bun.lock, which is",
			       file);
	if (text.len && memchr(text.ptr, '\0', text.len))
		return err_set(e, -EBADMSG, "%s: has zero bytes; it is no text", file);
	if (text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0) {
		text.ptr += 3;
		text.len -= 3;
	}
	r = first_of(text) == '{' ? pinned_read_bun(p, text, e) : pinned_read_yarn(p, text, e);
	buf_add(&p->remarks, "", 1);
	if (r == 0 && (buf_error(&p->remarks) || arena_error(&p->arena)))
		r = err_set(e, -ENOMEM, "out of memory");
	if (r < 0)
		return err_wrap(e, r, "%s", file);
	sort(p);
	*ret = take(&p);
	return 0;
}

void pinned_free(struct pinned *p)
{
	if (!p)
		return;
	free(p->demands);
	buf_release(&p->remarks);
	arena_release(&p->arena);
	free(p);
}

/* Compares "name@spec" with a key, without making one. */
static int compare(const char *name, const char *spec, const char *key)
{
	size_t n = strlen(name);
	int c = strncmp(name, key, n);

	if (c)
		return c;
	c = '@' - (unsigned char)key[n];
	return c ? c : strcmp(spec, key + n + 1);
}

const struct pin *pinned_find(const struct pinned *p, const char *name, const char *spec)
{
	uint32_t from = 0, to = p->count;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		int c = compare(name, spec, p->demands[mid].key);

		if (c == 0)
			return p->demands[mid].pin;
		if (c < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return NULL;
}

uint32_t pinned_count(const struct pinned *p)
{
	return p->count;
}

const char *pinned_file(const struct pinned *p)
{
	return p->file;
}

const char *pinned_remarks(const struct pinned *p)
{
	return (const char *)p->remarks.data;
}
