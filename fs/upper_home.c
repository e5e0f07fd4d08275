#include "core/file.h"
#include "fs/upper_priv.h"

#include <stdio.h>

/* ---- keys ---- */

/* "node_modules+foo@1.0.0~0123abcd" back into place and version, in place of `key`. */
static bool split_key(char *key, char **ret_version)
{
	char *to = key, *at;

	at = strrchr(key, '~');
	if (!at || at == key)
		return false;
	*at = '\0';
	for (const char *from = key; *from; from++) {
		unsigned c;

		if (*from == '%' && sscanf(from + 1, "%2X", &c) == 1) {
			*to++ = (char)c;
			from += 2;
		} else {
			*to++ = *from == '+' ? '/' : *from;
		}
	}
	*to = '\0';
	at = strrchr(key, '@');
	if (!at || at == key)
		return false;
	*at = '\0';
	*ret_version = at + 1;
	return true;
}

/* The key of a folder in pkg/; the caller frees. NULL: it is not known, or memory is out. */
static char *key_of(const struct upper *u, const char *folder)
{
	auto_free char *text = NULL;
	size_t len, n = strlen(folder);
	char *line, *save = NULL;

	if (folder[0] != '~')
		return strdup(folder);
	if (file_read_all(u->fd, "names", UPPER_TEXT_MAX, &text, &len, NULL) < 0)
		return NULL;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, folder, n) == 0 && line[n] == ' ')
			return strdup(line + n + 1);
	return NULL;
}

void upper_home_release(struct upper_home *h)
{
	free(h->place);
	*h = (struct upper_home){ 0 };
}

bool upper_folder_of(const char *line, char ret[NAME_MAX + 1])
{
	size_t n;

	if (strncmp(line, "pkg/", 4) != 0)
		return false;
	n = strcspn(line + 4, "/");
	if (n > NAME_MAX)
		return false;
	memcpy(ret, line + 4, n);
	ret[n] = '\0';
	return true;
}

int upper_home(const struct upper *u, const char *folder, struct upper_home *ret)
{
	struct upper_home h = { .place = key_of(u, folder) };

	if (!h.place || !split_key(h.place, &h.version)) {
		upper_home_release(&h);
		return -ENOENT;
	}
	*ret = h;
	return 0;
}

/* ---- the lower by path ---- */

int upper_lower_at(struct view *v, const char *path, struct upper_low *ret)
{
	const struct tree *t = view_tree(v);
	struct parcel *wait = NULL;
	size_t best = 0;
	int r = -ENOENT;

	for (uint32_t i = 0; i < t->root_count; i++) {
		size_t n = strlen(t->roots[i].path);

		if (n <= best || strncmp(path, t->roots[i].path, n) != 0 ||
		    (path[n] && path[n] != '/'))
			continue;
		best = n;
		ret->root = view_root_ino(v, i);
		r = 0;
	}
	ret->dir = 0;
	if (r == 0)
		r = view_attr(v, ret->root, &ret->attr, &wait, NULL);
	while (r == 0 && path[best] == '/') {
		size_t n = strcspn(path + best + 1, "/");

		ret->dir = ret->attr.ino;
		r = view_lookup(v, ret->dir, (struct slice){ (const uint8_t *)path + best + 1, n },
				&ret->attr, &wait, NULL);
		best += 1 + n;
	}
	return r;
}

bool upper_home_shown(struct view *v, const struct upper_home *h, const char *folder)
{
	char name[NAME_MAX + 1];
	const struct place *p;
	struct upper_low low;

	if (upper_lower_at(v, h->place, &low) != 0 || view_ino_entry(low.attr.ino))
		return false;
	p = view_place(v, low.attr.ino);
	return p && p->kind == TREE_PACKAGE && upper_key(p, name, NULL) == 0 &&
	       strcmp(name, folder) == 0;
}
