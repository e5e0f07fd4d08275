#include "fs/patch.h"

#include "core/linediff.h"
#include "core/sri.h"

#include <stdio.h>

#define SHORT_ID 7 /* hex digits of a blob's name in git, as git prints it */

/* git's name of these bytes: SHA-1 over "blob", their count, a zero and themselves. */
static int git_id(const struct patch_side *s, char ret[SHORT_ID + 1])
{
	struct digester *d;
	struct digest id = { 0 };
	char head[32];
	int n, r;

	memset(ret, '0', SHORT_ID);
	ret[SHORT_ID] = '\0';
	if (!s->there)
		return 0;
	d = digester_new(DIGEST_SHA1);
	if (!d)
		return -ENOMEM;
	n = snprintf(head, sizeof head, "blob %zu", s->bytes.len);
	digester_add(d, head, (size_t)n + 1);
	digester_add(d, s->bytes.ptr, s->bytes.len);
	r = digester_end(d, &id);
	digester_free(d);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < SHORT_ID; i++)
		ret[i] = "0123456789abcdef"[id.bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
	return 0;
}

static const char *mode_of(const struct patch_side *s)
{
	return s->executable ? "100755" : "100644";
}

static bool readable(const char *path)
{
	for (const unsigned char *c = (const unsigned char *)path; *c; c++)
		if (*c < ' ' || *c == 0x7f || *c == '"' || *c == '\\')
			return false;
	return !strstr(path, " b/"); /* where patch-package takes the second name to begin */
}

static int add_modes(struct buf *out, const struct patch_side *old, const struct patch_side *fresh)
{
	char from[SHORT_ID + 1], to[SHORT_ID + 1];
	bool same = slice_eq(old->bytes, fresh->bytes) && old->there == fresh->there;
	int r = git_id(old, from);

	if (r == 0)
		r = git_id(fresh, to);
	if (r < 0)
		return r;
	if (!old->there)
		buf_addf(out, "new file mode %s\n", mode_of(fresh));
	else if (!fresh->there)
		buf_addf(out, "deleted file mode %s\n", mode_of(old));
	else if (old->executable != fresh->executable)
		buf_addf(out, "old mode %s\nnew mode %s\n", mode_of(old), mode_of(fresh));
	if (same)
		return 0;
	buf_addf(out, "index %s..%s", from, to);
	if (old->there && fresh->there && old->executable == fresh->executable)
		buf_addf(out, " %s", mode_of(old));
	buf_addstr(out, "\n");
	return 0;
}

/* A name with spaces ends in a tab, so that patch(1) sees its end. */
static void add_name(struct buf *out, const char *sign, char side, const char *path, bool there)
{
	if (there)
		buf_addf(out, "%s %c/%s%s\n", sign, side, path, strchr(path, ' ') ? "\t" : "");
	else
		buf_addf(out, "%s /dev/null\n", sign);
}

int patch_add(struct buf *out, const char *path, const struct patch_side *old,
	      const struct patch_side *fresh, struct err *e)
{
	bool same = slice_eq(old->bytes, fresh->bytes);
	int r;

	if (old->there == fresh->there && same && old->executable == fresh->executable)
		return 0;
	if (!readable(path))
		return err_set(e, -EOPNOTSUPP, "%s: such a name cannot stand in a patch", path);
	if (!same && (linediff_is_binary(old->bytes) || linediff_is_binary(fresh->bytes)))
		return err_set(e, -EOPNOTSUPP, "%s: patch-package cannot carry binary files", path);
	buf_addf(out, "diff --git a/%s b/%s\n", path, path);
	r = add_modes(out, old, fresh);
	if (r == 0 && !same) {
		add_name(out, "---", 'a', path, old->there);
		add_name(out, "+++", 'b', path, fresh->there);
		r = linediff(out, old->bytes, fresh->bytes);
	}
	if (r == 0)
		r = buf_error(out);
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 1;
}
