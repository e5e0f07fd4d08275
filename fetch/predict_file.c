#include "core/file.h"
#include "core/hash.h"
#include "fetch/predict_priv.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define VERSION 2

struct file_head {
	uint8_t magic[8];
	uint32_t version, size;
	uint8_t check[16];
	uint32_t names, links, text, clock;
	uint8_t zero[16];
};

struct file_name {
	uint32_t text, first_link;
	uint16_t text_len, links;
	uint32_t seen, last, first;
	uint64_t deps;
	uint32_t stray, zero;
};

struct file_link {
	uint32_t to, count;
};

_Static_assert(sizeof(struct file_head) == 64, "DXGUESS header");
_Static_assert(offsetof(struct file_head, names) == 32, "DXGUESS header, checked part");
_Static_assert(sizeof(struct file_name) == 40, "DXGUESS name");
_Static_assert(sizeof(struct file_link) == 8, "DXGUESS link");

#define CHECKED_FROM offsetof(struct file_head, names)

static const uint8_t magic[8] = { 'D', 'X', 'G', 'U', 'E', 'S', 'S', 0 };

/* ---- reading ---- */

/* The file with its sections; integers as they stand there. */
struct parts {
	struct file_head head;
	const uint8_t *names, *links, *text;
	uint32_t name_count, link_count, text_len;
};

static int split(struct parts *p, struct slice bytes, struct err *e)
{
	struct hash128 check;
	uint64_t size;

	if (bytes.len < sizeof p->head || memcmp(bytes.ptr, magic, sizeof magic) != 0)
		return err_set(e, -EBADMSG, "not a file of predictions");
	memcpy(&p->head, bytes.ptr, sizeof p->head);
	if (le32toh(p->head.version) > VERSION)
		return err_set(e, -EPROTONOSUPPORT,
			       "predictions of format %u, which a later dxfs wrote",
			       le32toh(p->head.version));
	check = hash128(bytes.ptr + CHECKED_FROM, bytes.len - CHECKED_FROM);
	p->name_count = le32toh(p->head.names);
	p->link_count = le32toh(p->head.links);
	p->text_len = le32toh(p->head.text);
	size = sizeof p->head + (uint64_t)p->name_count * sizeof(struct file_name) +
	       (uint64_t)p->link_count * sizeof(struct file_link) + p->text_len;
	if (le32toh(p->head.version) != VERSION || le32toh(p->head.size) != bytes.len ||
	    size != bytes.len || memcmp(check.b, p->head.check, sizeof check.b) != 0)
		return err_set(e, -EBADMSG, "predictions that are damaged");
	if (p->name_count > PREDICT_NAMES_MAX)
		return err_set(e, -EBADMSG, "predictions for %u names, more than %u", p->name_count,
			       PREDICT_NAMES_MAX);
	p->names = bytes.ptr + sizeof p->head;
	p->links = p->names + (size_t)p->name_count * sizeof(struct file_name);
	p->text = p->links + (size_t)p->link_count * sizeof(struct file_link);
	return 0;
}

static int read_links(struct predict *m, const struct parts *p, struct name *n, uint32_t first,
		      uint32_t count, struct err *e)
{
	n->links = arena_array(&m->arena, PREDICT_LINKS, sizeof *n->links);
	if (!n->links)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < count; i++) {
		struct file_link l;
		struct predict_link link;

		memcpy(&l, p->links + (size_t)(first + i) * sizeof l, sizeof l);
		link = (struct predict_link){ .to = le32toh(l.to), .count = le32toh(l.count) };
		if (link.to >= p->name_count || link.count == 0 || link.count > PREDICT_SEEN_MAX)
			return err_set(e, -EBADMSG, "predictions: link %u is wrong", first + i);
		n->links[n->link_count++] = link;
	}
	return 0;
}

static int read_name(struct predict *m, const struct parts *p, uint32_t i, uint32_t *next_link,
		     struct err *e)
{
	struct file_name f;
	uint32_t at, links;
	size_t len;
	int64_t id;

	memcpy(&f, p->names + (size_t)i * sizeof f, sizeof f);
	at = le32toh(f.text);
	len = le16toh(f.text_len);
	links = le16toh(f.links);
	if (at > p->text_len || len > p->text_len - at || links > PREDICT_LINKS ||
	    le32toh(f.first_link) != *next_link || links > p->link_count - *next_link ||
	    le32toh(f.seen) > PREDICT_SEEN_MAX || le32toh(f.first) > le32toh(f.seen) ||
	    le32toh(f.stray) > le32toh(f.seen) || !predict_is_name((const char *)p->text + at, len))
		return err_set(e, -EBADMSG, "predictions: name %u is wrong", i);
	id = predict_intern(m, (const char *)p->text + at, len);
	if (id < 0)
		return err_set(e, (int)id, "out of memory");
	if (id != i)
		return err_set(e, -EBADMSG, "predictions: name %u stands there twice", i);
	m->names[i].seen = le32toh(f.seen);
	m->names[i].last = le32toh(f.last);
	m->names[i].first = le32toh(f.first);
	m->names[i].deps = le64toh(f.deps);
	m->names[i].stray = le32toh(f.stray);
	*next_link += links;
	return links ? read_links(m, p, &m->names[i], le32toh(f.first_link), links, e) : 0;
}

int predict_parse(struct predict **ret, struct slice bytes, struct err *e)
{
	struct parts p;
	struct predict *m;
	uint32_t next_link = 0;
	int r = split(&p, bytes, e);

	if (r < 0)
		return r;
	m = predict_new();
	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->clock = le32toh(p.head.clock);
	for (uint32_t i = 0; i < p.name_count && r == 0; i++)
		r = read_name(m, &p, i, &next_link, e);
	if (r == 0 && next_link != p.link_count)
		r = err_set(e, -EBADMSG, "predictions: links that belong to no name");
	if (r < 0)
		predict_free(m);
	else
		*ret = m;
	return r;
}

/* ---- writing ---- */

static int by_age(const void *a, const void *b, void *arg)
{
	const struct predict *m = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint32_t age_x = m->clock - m->names[x].last, age_y = m->clock - m->names[y].last;

	return age_x != age_y ? (age_x > age_y) - (age_x < age_y) : (x > y) - (x < y);
}

/* New numbers by old ones, PREDICT_NONE for what is not written; `order` the other way round. */
static uint32_t choose(const struct predict *m, uint32_t *order, uint32_t *number)
{
	uint32_t kept = m->count < PREDICT_NAMES_MAX ? m->count : PREDICT_NAMES_MAX;

	for (uint32_t i = 0; i < m->count; i++) {
		order[i] = i;
		number[i] = PREDICT_NONE;
	}
	if (kept < m->count)
		qsort_r(order, m->count, sizeof *order, by_age, (void *)m);
	for (uint32_t i = 0; i < kept; i++)
		number[order[i]] = i;
	return kept;
}

static void put_links(const struct name *n, const uint32_t *number, struct buf *links)
{
	for (uint32_t i = 0; i < n->link_count; i++) {
		struct file_link l = { .to = htole32(number[n->links[i].to]),
				       .count = htole32(n->links[i].count) };

		if (number[n->links[i].to] != PREDICT_NONE)
			buf_add(links, &l, sizeof l);
	}
}

static void put_name(const struct name *n, const uint32_t *number, struct buf *names,
		     struct buf *links, struct buf *text)
{
	size_t before = links->len, len = strlen(n->text);
	struct file_name f = { .text = htole32((uint32_t)text->len),
			       .first_link = htole32((uint32_t)(before / sizeof(struct file_link))),
			       .text_len = htole16((uint16_t)len),
			       .seen = htole32(n->seen),
			       .last = htole32(n->last),
			       .first = htole32(n->first),
			       .deps = htole64(n->deps),
			       .stray = htole32(n->stray) };

	put_links(n, number, links);
	f.links = htole16((uint16_t)((links->len - before) / sizeof(struct file_link)));
	buf_add(names, &f, sizeof f);
	buf_add(text, n->text, len);
}

static void put_head(struct buf *b, const struct predict *m, uint32_t names, size_t links,
		     size_t text, size_t size)
{
	struct file_head h = { .version = htole32(VERSION),
			       .size = htole32((uint32_t)size),
			       .names = htole32(names),
			       .links = htole32((uint32_t)links),
			       .text = htole32((uint32_t)text),
			       .clock = htole32(m->clock) };

	memcpy(h.magic, magic, sizeof magic);
	buf_add(b, &h, sizeof h);
}

int predict_render(const struct predict *m, struct buf *ret)
{
	auto_buf struct buf names = BUF_INIT(PREDICT_FILE_MAX);
	auto_buf struct buf links = BUF_INIT(PREDICT_FILE_MAX);
	auto_buf struct buf text = BUF_INIT(PREDICT_FILE_MAX);
	auto_free uint32_t *order = malloc((m->count + 1) * sizeof *order);
	auto_free uint32_t *number = malloc((m->count + 1) * sizeof *number);
	struct hash128 check;
	uint32_t kept;
	size_t start = ret->len;

	if (!order || !number)
		return -ENOMEM;
	kept = choose(m, order, number);
	for (uint32_t i = 0; i < kept; i++)
		put_name(&m->names[order[i]], number, &names, &links, &text);
	put_head(ret, m, kept, links.len / sizeof(struct file_link), text.len,
		 sizeof(struct file_head) + names.len + links.len + text.len);
	buf_add(ret, names.data, names.len);
	buf_add(ret, links.data, links.len);
	buf_add(ret, text.data, text.len);
	if (buf_error(&names) || buf_error(&links) || buf_error(&text) || buf_error(ret))
		return buf_error(ret) ? buf_error(ret) : -ENOMEM;
	check = hash128(ret->data + start + CHECKED_FROM, ret->len - start - CHECKED_FROM);
	memcpy(ret->data + start + offsetof(struct file_head, check), check.b, sizeof check.b);
	return 0;
}

/* ---- the file ---- */

static int read_file(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if ((st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & 022)
		return err_set(e, -EPERM, "%s: others may write it, so it is not believed", path);
	return file_read_fd(fd, path, PREDICT_FILE_MAX, ret, ret_len, e);
}

static int load(struct predict **ret, const char *path, struct err *e)
{
	auto_free char *bytes = NULL;
	size_t len;
	int r = read_file(path, &bytes, &len, e);

	if (r == -ENOENT) {
		*ret = predict_new();
		return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	if (r == 0)
		r = predict_parse(ret, (struct slice){ (const uint8_t *)bytes, len }, e);
	return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

static char *path_in(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

int predict_load(struct predict **ret, const char *dir, struct err *e)
{
	auto_free char *path = path_in(dir, "predict");

	return path ? load(ret, path, e) : err_set(e, -ENOMEM, "out of memory");
}

/* Written whole beside it and renamed; not synced, since only a cache would be lost, and a file
 * that a power cut left half fails its check. */
static int replace(const char *path, const char *temporary, const struct buf *b, struct err *e)
{
	auto_close int fd =
		open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && fchmod(fd, 0644) < 0)
		r = -errno;
	if (r == 0)
		r = file_write_all(fd, b->data, b->len);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0 && fd >= 0)
		(void)unlink(temporary);
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

static int learn_at(const char *path, const char *temporary, const struct predict_run *run,
		    struct err *e)
{
	auto_buf struct buf b = BUF_INIT(PREDICT_FILE_MAX);
	struct predict *m = NULL;
	int r = load(&m, path, e);

	if (r == -EBADMSG || r == -E2BIG || r == -EINVAL) {
		m = predict_new();
		r = m ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = predict_learn(m, run);
	if (r == 0)
		r = predict_render(m, &b);
	predict_free(m);
	if (r < 0)
		return e && e->code == r ? r : err_set(e, r, "%s: %s", path, strerror(-r));
	return replace(path, temporary, &b, e);
}

int predict_learn_file(const char *dir, const struct predict_run *run, struct err *e)
{
	auto_free char *path = path_in(dir, "predict"), *lock = path_in(dir, "predict.lock"),
		       *temporary = path_in(dir, "predict.new");
	auto_close int fd = -1;
	int r;

	if (!path || !lock || !temporary)
		return err_set(e, -ENOMEM, "out of memory");
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", lock, strerror(errno));
	r = file_lock_soon(fd);
	if (r < 0)
		return err_set(e, r, "%s: %s", lock, strerror(-r));
	return learn_at(path, temporary, run, e);
}
