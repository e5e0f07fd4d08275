#include "lock/json_scan.h"
#include "lock/pinned_priv.h"

/* yarn.lock, version 1: blocks of lines, parted by empty ones.
 *
 *	"a@^1", a@~1.2:
 *	  version "1.2.3"
 *	  resolved "https://.../a-1.2.3.tgz#<sha1>"
 *	  integrity sha512-...
 *	  dependencies:
 *	    b "^2" */

#define DEMANDS_OF_ONE_MAX 10000u /* a header's; a monorepo's most wanted package has hundreds */

enum side { BOTH, OURS, BASE, THEIRS };

struct reader {
	struct pinned *p;
	enum side want, in; /* between conflict markers */
	bool conflict;
	uint32_t line;
	/* The block at work. */
	const char **keys; /* owned */
	uint32_t key_count, key_cap;
	const char *version, *resolved, *integrity;
	bool open, below;
	struct err *e;
};

static int broken(const struct reader *r, const char *why)
{
	return err_set(r->e, -EBADMSG, "line %u: %s", r->line, why);
}

/* ---- tokens ---- */

/* Takes what stands first, quoted or up to one of `ends`, off the line. NULL: not well-formed, or
 * no memory. */
static const char *take_token(struct reader *r, struct slice *line, const char *ends)
{
	ptrdiff_t len;
	size_t n = 0;
	char *out;

	if (line->len && line->ptr[0] == '"') {
		for (n = 1; n < line->len && line->ptr[n] != '"'; n++)
			n += line->ptr[n] == '\\';
		if (n >= line->len)
			return NULL;
		n++;
		out = arena_alloc(&r->p->arena, n + 1);
		if (!out)
			return NULL;
		len = json_scan_str((struct slice){ line->ptr, n }, out);
		if (len < 0)
			return NULL;
		out[len] = '\0';
	} else {
		size_t used;

		while (n < line->len && !strchr(ends, line->ptr[n]))
			n++;
		for (used = n; used && line->ptr[used - 1] == ' ';)
			used--;
		out = used ? arena_strndup(&r->p->arena, line->ptr, used) : NULL;
	}
	line->ptr += n;
	line->len -= n;
	return out;
}

/* ---- blocks ---- */

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Is what stands behind '#' a commit, not the digest of a tarball? */
static bool is_git(const char *resolved, const char *hash)
{
	return starts(resolved, "git") || starts(resolved, "ssh:") ||
	       (hash - resolved > 4 && memcmp(hash - 4, ".git", 4) == 0);
}

static int end_block(struct reader *r)
{
	struct pin *pin;
	char *hash;
	int rc = 0;

	if (!r->open)
		return 0;
	r->open = r->below = false;
	if (!r->version)
		return broken(r, "the block above it has no version");
	pin = arena_alloc(&r->p->arena, sizeof *pin);
	if (!pin)
		return err_set(r->e, -ENOMEM, "out of memory");
	hash = r->resolved ? strchr(r->resolved, '#') : NULL;
	if (hash && !is_git(r->resolved, hash))
		*hash = '\0';
	pin->version = r->version;
	pin->resolved = r->resolved;
	pin->integrity = r->integrity;
	for (uint32_t i = 0; i < r->key_count && rc == 0; i++)
		rc = pinned_add(r->p, r->keys[i], pin, r->e);
	return rc;
}

static int add_key(struct reader *r, const char *key)
{
	if (r->key_count == DEMANDS_OF_ONE_MAX)
		return err_set(r->e, -E2BIG, "line %u: more than %u demands", r->line,
			       DEMANDS_OF_ONE_MAX);
	if (r->key_count == r->key_cap) {
		uint32_t more = r->key_cap ? r->key_cap * 2 : 16;
		const char **bigger = reallocarray(r->keys, more, sizeof(char *));

		if (!bigger)
			return err_set(r->e, -ENOMEM, "out of memory");
		r->keys = bigger;
		r->key_cap = more;
	}
	r->keys[r->key_count++] = key;
	return 0;
}

static int begin_block(struct reader *r, struct slice line)
{
	int rc = end_block(r);

	r->key_count = 0;
	r->version = r->resolved = r->integrity = NULL;
	line.len--; /* the colon */
	while (rc == 0) {
		const char *key = take_token(r, &line, ",");

		if (!key)
			return broken(r, "no \"name@range\" where one is expected");
		rc = add_key(r, key);
		while (line.len && line.ptr[0] == ' ') {
			line.ptr++;
			line.len--;
		}
		if (line.len == 0)
			break;
		if (line.ptr[0] != ',')
			return broken(r, "a comma is missing");
		do {
			line.ptr++;
			line.len--;
		} while (line.len && line.ptr[0] == ' ');
	}
	r->open = true;
	return rc;
}

static int member(struct reader *r, struct slice line)
{
	const char *key = take_token(r, &line, " :"), *value;

	if (!key)
		return broken(r, "a name is missing");
	if (line.len == 1 && line.ptr[0] == ':') {
		r->below = true;
		return 0;
	}
	r->below = false;
	if (line.len == 0 || line.ptr[0] != ' ')
		return broken(r, "a value is missing");
	line.ptr++;
	line.len--;
	value = take_token(r, &line, "");
	if (!value || line.len)
		return broken(r, "a value is missing, or more than one stands there");
	if (strcmp(key, "version") == 0)
		r->version = value;
	else if (strcmp(key, "resolved") == 0)
		r->resolved = value;
	else if (strcmp(key, "integrity") == 0)
		r->integrity = value;
	return 0;
}

/* ---- lines ---- */

static bool is_mark(struct slice line, char c)
{
	const char mark[] = { c, c, c, c, c, c, c };

	return line.len >= sizeof mark && memcmp(line.ptr, mark, sizeof mark) == 0;
}

/* Is it one of git's, and does the line count for the side that is wanted? */
static bool skips(struct reader *r, struct slice line)
{
	enum side next = is_mark(line, '<')   ? OURS
			 : is_mark(line, '|') ? BASE
			 : is_mark(line, '=') ? THEIRS
					      : BOTH;

	if (next != BOTH || is_mark(line, '>')) {
		r->in = next;
		r->conflict = true;
		return true;
	}
	return r->in != BOTH && r->in != r->want;
}

static int read_line(struct reader *r, struct slice line)
{
	size_t indent = 0;

	while (indent < line.len && line.ptr[indent] == ' ')
		indent++;
	if (indent == line.len)
		return end_block(r);
	if (line.ptr[indent] == '#')
		return 0;
	if (indent == 0 && line.ptr[line.len - 1] == ':' && line.len > 1)
		return begin_block(r, line);
	line.ptr += indent;
	line.len -= indent;
	if (r->open && indent == 2)
		return member(r, line);
	if (r->open && indent == 4 && r->below)
		return 0;
	return broken(r, "not what a yarn.lock has here");
}

static int read_side(struct reader *r, struct slice text, enum side want)
{
	int rc = 0;

	r->want = want;
	r->in = BOTH;
	r->line = 0;
	while (text.len && rc == 0) {
		const uint8_t *nl = memchr(text.ptr, '\n', text.len);
		struct slice line = { text.ptr, nl ? (size_t)(nl - text.ptr) : text.len };
		size_t used = line.len + (nl != NULL);

		r->line++;
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (!skips(r, line))
			rc = read_line(r, line);
		text.ptr += used;
		text.len -= used;
	}
	return rc < 0 ? rc : end_block(r);
}

/* Is there a line that begins so? */
static bool has_line(struct slice text, const char *start)
{
	size_t n = strlen(start);
	const uint8_t *at = text.ptr, *end = text.ptr + text.len;

	while (at && at < end && (at = memmem(at, (size_t)(end - at), start, n)) != NULL) {
		if (at == text.ptr || at[-1] == '\n')
			return true;
		at += n;
	}
	return false;
}

int pinned_read_yarn(struct pinned *p, struct slice text, struct err *e)
{
	struct reader r = { .p = p, .e = e };
	int rc;

	if (has_line(text, "__metadata:"))
		return err_set(e, -ENOTSUP,
			       "this is a lock of yarn 2 or later, whose format is "
			       "not read; that of yarn 1 is");
	if (has_line(text, "lockfileVersion:"))
		return err_set(e, -ENOTSUP,
			       "this is no yarn.lock or bun.lock; other locks are "
			       "not read");
	rc = read_side(&r, text, OURS);
	if (rc == 0 && r.conflict)
		rc = read_side(&r, text, THEIRS);
	free(r.keys);
	return rc;
}
