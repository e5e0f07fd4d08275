#include "core/hash.h"
#include "fetch/predict_priv.h"

#define ARENA_MAX ((size_t)16 << 20) /* of names and their links, old ones included */

struct predict *predict_new(void)
{
	struct predict *m = calloc(1, sizeof *m);

	if (m)
		m->arena = (struct arena)ARENA_INIT(ARENA_MAX);
	return m;
}

void predict_free(struct predict *m)
{
	if (!m)
		return;
	arena_release(&m->arena);
	free(m->names);
	free(m->table);
	free(m);
}

/* ---- names ---- */

/* The slot of the table that has the name or that is free for it. */
static uint32_t slot_of(const struct predict *m, const char *text, size_t len)
{
	struct hash128 h = hash128(text, len);
	uint32_t at;

	memcpy(&at, h.b, sizeof at);
	for (at &= m->table_size - 1; m->table[at] != PREDICT_NONE;
	     at = (at + 1) & (m->table_size - 1)) {
		const char *have = m->names[m->table[at]].text;

		if (strncmp(have, text, len) == 0 && !have[len])
			break;
	}
	return at;
}

static int grow(struct predict *m)
{
	uint32_t cap = m->cap ? m->cap * 2 : 1024;
	struct name *names = realloc(m->names, cap * sizeof *names);
	uint32_t *table;

	if (!names)
		return -ENOMEM;
	m->names = names;
	table = malloc((size_t)cap * 2 * sizeof *table);
	if (!table)
		return -ENOMEM;
	free(m->table);
	m->table = table;
	m->table_size = cap * 2;
	m->cap = cap;
	memset(table, 0xff, (size_t)cap * 2 * sizeof *table);
	for (uint32_t i = 0; i < m->count; i++)
		table[slot_of(m, names[i].text, strlen(names[i].text))] = i;
	return 0;
}

int64_t predict_intern(struct predict *m, const char *text, size_t len)
{
	uint32_t at;
	char *copy;

	if (m->count == m->cap && grow(m) < 0)
		return -ENOMEM;
	at = slot_of(m, text, len);
	if (m->table[at] != PREDICT_NONE)
		return m->table[at];
	copy = arena_strndup(&m->arena, text, len);
	if (!copy)
		return -ENOMEM;
	m->names[m->count] = (struct name){ .text = copy };
	m->table[at] = m->count;
	return m->count++;
}

uint32_t predict_find(const struct predict *m, const char *name)
{
	return m->count ? m->table[slot_of(m, name, strlen(name))] : PREDICT_NONE;
}

uint32_t predict_count(const struct predict *m)
{
	return m->count;
}

uint32_t predict_seen(const struct predict *m, uint32_t id)
{
	return m->names[id].seen;
}

const struct predict_link *predict_links(const struct predict *m, uint32_t id, uint32_t *ret_count)
{
	*ret_count = m->names[id].link_count;
	return m->names[id].links;
}

uint32_t predict_first(const struct predict *m, uint32_t id)
{
	return m->names[id].first;
}

uint32_t predict_stray(const struct predict *m, uint32_t id)
{
	return m->names[id].stray;
}

uint64_t predict_dep(const char *name)
{
	return 1ull << (hash128(name, strlen(name)).b[0] & 63);
}

bool predict_had_dep(const struct predict *m, uint32_t id, const char *name)
{
	return m->names[id].deps & predict_dep(name);
}

/* ---- learning ---- */

static void halve(struct name *n)
{
	uint32_t kept = 0;

	n->seen /= 2;
	n->first /= 2;
	n->stray /= 2;
	for (uint32_t i = 0; i < n->link_count; i++) {
		n->links[i].count /= 2;
		if (n->links[i].count)
			n->links[kept++] = n->links[i];
	}
	n->link_count = kept;
}

/* `to` followed `n` once more. A full list gives up its rarest, if that is no more than chance. */
static int follow(struct predict *m, struct name *n, uint32_t to)
{
	uint32_t rarest = 0;

	if (!n->links)
		n->links = arena_array(&m->arena, PREDICT_LINKS, sizeof *n->links);
	if (!n->links)
		return -ENOMEM;
	for (uint32_t i = 0; i < n->link_count; i++) {
		if (n->links[i].to == to) {
			n->links[i].count += PREDICT_ONE;
			return 0;
		}
		if (n->links[i].count < n->links[rarest].count)
			rarest = i;
	}
	if (n->link_count < PREDICT_LINKS)
		rarest = n->link_count++;
	else if (n->links[rarest].count > PREDICT_ONE)
		return 0;
	n->links[rarest] = (struct predict_link){ .to = to, .count = PREDICT_ONE };
	return 0;
}

bool predict_is_name(const char *text, size_t len)
{
	if (len == 0 || len > PREDICT_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return false;
	return true;
}

static int learn_one(struct predict *m, const uint32_t *ids, size_t count)
{
	struct name *n = &m->names[ids[0]];

	n->last = m->clock;
	n->seen += PREDICT_ONE;
	for (size_t i = 1; i < count && i <= PREDICT_WINDOW && ids[i] != PREDICT_NONE; i++)
		if (ids[i] != ids[0] && follow(m, n, ids[i]) < 0)
			return -ENOMEM;
	if (n->seen >= PREDICT_SEEN_MAX)
		halve(n);
	return 0;
}

int predict_learn(struct predict *m, const struct predict_run *run)
{
	size_t count = run->count < PREDICT_LEARN_MAX ? run->count : PREDICT_LEARN_MAX, n = 0;
	auto_free uint32_t *ids = malloc((count + 1) * sizeof *ids);

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct predict_touch *t = &run->touches[i];
		int64_t id = PREDICT_NONE;

		if (t->name && !predict_is_name(t->name, strlen(t->name)))
			continue;
		if (t->name)
			id = predict_intern(m, t->name, strlen(t->name));
		if (id < 0)
			return (int)id;
		if (t->name) {
			m->names[id].deps |= t->deps;
			m->names[id].stray += t->stray ? PREDICT_ONE : 0;
		}
		ids[n++] = (uint32_t)id;
	}
	if (run->from_mount && n && ids[0] != PREDICT_NONE)
		m->names[ids[0]].first += PREDICT_ONE;
	m->clock++;
	for (size_t i = 0; i < n; i++)
		if (ids[i] != PREDICT_NONE && learn_one(m, ids + i, n - i) < 0)
			return -ENOMEM;
	return 0;
}
