#include "lock/render.h"

#include "lock/collate.h"
#include "lock/json.h"
#include "lock/json_text.h"
#include "lock/spec.h"

#include <stdio.h>

/* Bytes of a printed lock: twice what may be read, since strings may need more escapes. */
#define LOCK_TEXT_MAX ((size_t)512 << 20)

/* Memory to take one dependency's value apart. */
#define SPECS_MAX ((size_t)1 << 20)

/* ---- the order of members ---- */

static const struct slice favourites[] = {
	SLICE("name"),      SLICE("version"),  SLICE("lockfileVersion"), SLICE("resolved"),
	SLICE("integrity"), SLICE("requires"), SLICE("packages"),        SLICE("dependencies"),
};

static unsigned favourite(struct slice key)
{
	unsigned i = 0;

	while (i < ARRAY_LEN(favourites) && !slice_eq(favourites[i], key))
		i++;
	return i;
}

/* The number that a key is, if it is written as JavaScript writes an array index; else -1. */
static int64_t array_index(struct slice key)
{
	int64_t n = 0;

	if (key.len == 0 || key.len > 10 || (key.len > 1 && key.ptr[0] == '0'))
		return -1;
	for (size_t i = 0; i < key.len; i++) {
		if (key.ptr[i] < '0' || key.ptr[i] > '9')
			return -1;
		n = n * 10 + (key.ptr[i] - '0');
	}
	return n < UINT32_MAX ? n : -1;
}

int render_order(struct slice a, bool a_is_object, struct slice b, bool b_is_object)
{
	int64_t i = array_index(a), k = array_index(b);
	unsigned x, y;
	int r;

	if (i >= 0 || k >= 0)
		return i < 0 ? 1 : k < 0 ? -1 : (i > k) - (i < k);
	if (a_is_object != b_is_object)
		return a_is_object ? 1 : -1;
	x = favourite(a);
	y = favourite(b);
	if (x != y)
		return x < y ? -1 : 1;
	r = collate(a, b);
	return r ? r : slice_cmp(a, b);
}

/* ---- writing ---- */

/* Text on its way out. Its own growing buffer, since most pieces are a few bytes long. */
struct writer {
	uint8_t *data; /* owned */
	size_t len, cap;
	int error;
	char pad[512];   /* a line end and then indentation, as deep as there is room for */
	size_t nl, step; /* bytes of a line end, of one level */
	unsigned pad_depth;
	bool compact; /* all on one line */
};

static void writer_release(struct writer *w)
{
	free(w->data);
}

static void writer_init(struct writer *w, const char *indent, bool crlf)
{
	char *at = w->pad;

	*w = (struct writer){ .compact = !*indent, .step = strlen(indent), .nl = crlf ? 2 : 1 };
	at = stpcpy(at, crlf ? "\r\n" : "\n");
	while (w->step && (size_t)(w->pad + sizeof w->pad - at) > w->step) {
		at = stpcpy(at, indent);
		w->pad_depth++;
	}
}

static bool grow(struct writer *w, size_t n)
{
	size_t cap = w->cap ? w->cap * 2 : (size_t)1 << 16;
	uint8_t *data;

	if (w->error)
		return false;
	while (cap - w->len < n)
		cap *= 2;
	data = cap > LOCK_TEXT_MAX ? NULL : realloc(w->data, cap);
	if (!data) {
		w->error = cap > LOCK_TEXT_MAX ? -E2BIG : -ENOMEM;
		return false;
	}
	w->data = data;
	w->cap = cap;
	return true;
}

static inline void put(struct writer *w, const void *p, size_t n)
{
	if (w->cap - w->len < n && !grow(w, n))
		return;
	memcpy(w->data + w->len, p, n);
	w->len += n;
}

#define PUT(w, lit) put(w, "" lit "", sizeof(lit) - 1)

static void new_line(struct writer *w, unsigned depth)
{
	unsigned at_once = depth < w->pad_depth ? depth : w->pad_depth;

	if (w->compact)
		return;
	put(w, w->pad, w->nl + at_once * w->step);
	for (; at_once < depth; at_once++)
		put(w, w->pad + w->nl, w->step);
}

#define EACH(byte) (0x0101010101010101u * (byte))

/* Is a byte of these eight a zero? */
static inline uint64_t zero_byte(uint64_t w)
{
	return (w - EACH(1u)) & ~w & EACH(0x80u);
}

/* Is there nothing to escape: no quote, no backslash, no control character? Eight bytes at a
 * time; a byte below 0x20 is one whose upper three bits are zero. */
static bool is_plain(const char *s, size_t len)
{
	uint64_t w, bad = 0;
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		memcpy(&w, s + i, 8);
		bad |= zero_byte(w ^ EACH((uint64_t)'"')) | zero_byte(w ^ EACH((uint64_t)'\\')) |
		       zero_byte(w & EACH((uint64_t)0xe0));
	}
	for (; i < len; i++)
		bad |= (uint8_t)s[i] < 0x20 || s[i] == '"' || s[i] == '\\';
	return bad == 0;
}

static void put_text(struct writer *w, const char *s, size_t len)
{
	if (is_plain(s, len)) {
		PUT(w, "\"");
		put(w, s, len);
		PUT(w, "\"");
	} else {
		auto_buf struct buf b = BUF_INIT(LOCK_TEXT_MAX);

		json_put_str(&b, s);
		if (buf_error(&b) == 0)
			put(w, b.data, b.len);
		else
			w->error = w->error ? w->error : buf_error(&b);
	}
}

static void put_str(struct writer *w, const char *s)
{
	put_text(w, s, strlen(s));
}

/* An object or array that is being printed; `items` so far. */
struct group {
	unsigned depth; /* of its items */
	uint32_t items;
};

static struct group open_group(struct writer *w, char bracket, unsigned depth)
{
	put(w, &bracket, 1);
	return (struct group){ .depth = depth + 1 };
}

static void close_group(struct writer *w, const struct group *g, char bracket)
{
	if (g->items)
		new_line(w, g->depth - 1);
	put(w, &bracket, 1);
}

static void next_item(struct writer *w, struct group *g)
{
	if (g->items++)
		PUT(w, ",");
	new_line(w, g->depth);
}

static void end_key(struct writer *w)
{
	if (w->compact)
		PUT(w, ":");
	else
		PUT(w, ": ");
}

static void next_member(struct writer *w, struct group *g, const char *key)
{
	next_item(w, g);
	put_str(w, key);
	end_key(w);
}

/* A value of a residue, laid out. It was walked by json_text already, so it is well-formed. */
static void put_value(struct writer *w, struct slice v, unsigned depth)
{
	const char *s = (const char *)v.ptr, *end = s + v.len;

	while (s < end) {
		size_t run = json_text_plain(s, (size_t)(end - s));

		put(w, s, run);
		s += run;
		if (s == end)
			break;
		switch (*s) {
		case '{':
		case '[':
			put(w, s, 1);
			if (s[1] == '}' || s[1] == ']')
				put(w, ++s, 1);
			else
				new_line(w, ++depth);
			break;
		case '}':
		case ']':
			new_line(w, --depth);
			put(w, s, 1);
			break;
		case ',':
			PUT(w, ",");
			new_line(w, depth);
			break;
		default: /* ':' */
			end_key(w);
		}
		s++;
	}
}

/* ---- entries ---- */

/* What a node's fields say, in npm's order. */
enum field {
	F_NAME,
	F_VERSION,
	F_RESOLVED,
	F_INTEGRITY,
	F_BUNDLED,
	F_CPU,
	F_DEV,
	F_DEV_OPTIONAL,
	F_EXTRANEOUS,
	F_SCRIPT,
	F_SHRINKWRAP,
	F_IN_BUNDLE,
	F_LIBC,
	F_LINK,
	F_OPTIONAL,
	F_OS,
	F_PEER,
	F_OBJECTS,
	F_DEPS = F_OBJECTS,
	F_BIN,
	F_DEV_DEPS,
	F_OPTIONAL_DEPS,
	F_PEER_DEPS,
	FIELDS,
};

static const struct slice field_keys[FIELDS] = {
	[F_NAME] = SLICE("name"),
	[F_VERSION] = SLICE("version"),
	[F_RESOLVED] = SLICE("resolved"),
	[F_INTEGRITY] = SLICE("integrity"),
	[F_BUNDLED] = SLICE("bundleDependencies"),
	[F_CPU] = SLICE("cpu"),
	[F_DEV] = SLICE("dev"),
	[F_DEV_OPTIONAL] = SLICE("devOptional"),
	[F_EXTRANEOUS] = SLICE("extraneous"),
	[F_SCRIPT] = SLICE("hasInstallScript"),
	[F_SHRINKWRAP] = SLICE("hasShrinkwrap"),
	[F_IN_BUNDLE] = SLICE("inBundle"),
	[F_LIBC] = SLICE("libc"),
	[F_LINK] = SLICE("link"),
	[F_OPTIONAL] = SLICE("optional"),
	[F_OS] = SLICE("os"),
	[F_PEER] = SLICE("peer"),
	[F_DEPS] = SLICE("dependencies"),
	[F_BIN] = SLICE("bin"),
	[F_DEV_DEPS] = SLICE("devDependencies"),
	[F_OPTIONAL_DEPS] = SLICE("optionalDependencies"),
	[F_PEER_DEPS] = SLICE("peerDependencies"),
};

static int field_of(struct slice key)
{
	for (int f = 0; f < FIELDS; f++) {
		if (field_keys[f].len == key.len && field_keys[f].ptr[0] == key.ptr[0] &&
		    memcmp(field_keys[f].ptr, key.ptr, key.len) == 0)
			return f;
	}
	return -1;
}

#define BIT(f) (1u << (f))

static uint32_t flag_fields(const struct graph_node *n)
{
	const uint32_t flags = n->flags;

	if (flags & NODE_EXTRANEOUS)
		return BIT(F_EXTRANEOUS);
	return (flags & NODE_DEV ? BIT(F_DEV) : 0) | (flags & NODE_PEER ? BIT(F_PEER) : 0) |
	       (flags & NODE_OPTIONAL ? BIT(F_OPTIONAL) : 0) |
	       (flags & NODE_DEV_OPTIONAL ? BIT(F_DEV_OPTIONAL) : 0);
}

/* The fields that this node has. A link says nothing but where it leads; of a top only the
 * computed flags are said by fields. */
static uint32_t fields_of(const struct graph_node *n)
{
	static const uint8_t sections[SECTION_COUNT] = {
		[SECTION_PROD] = F_DEPS,
		[SECTION_DEV] = F_DEV_DEPS,
		[SECTION_OPTIONAL] = F_OPTIONAL_DEPS,
		[SECTION_PEER] = F_PEER_DEPS,
	};
	uint32_t f = 0;

	if (n->flags & NODE_LINK)
		return BIT(F_RESOLVED) | BIT(F_LINK);
	f = flag_fields(n);
	if (n->flags & NODE_TOP)
		return f;
	if (n->pkg_name && strcmp(n->pkg_name, n->name) != 0)
		f |= BIT(F_NAME);
	f |= (n->version ? BIT(F_VERSION) : 0) | (n->resolved ? BIT(F_RESOLVED) : 0) |
	     (n->integrity ? BIT(F_INTEGRITY) : 0) | (n->bundled.count ? BIT(F_BUNDLED) : 0) |
	     (n->cpu.count ? BIT(F_CPU) : 0) | (n->os.count ? BIT(F_OS) : 0) |
	     (n->libc.count ? BIT(F_LIBC) : 0) | (n->bin_count ? BIT(F_BIN) : 0) |
	     (n->flags & NODE_HAS_SCRIPT ? BIT(F_SCRIPT) : 0) |
	     (n->flags & NODE_HAS_SHRINKWRAP ? BIT(F_SHRINKWRAP) : 0) |
	     (n->flags & NODE_IN_BUNDLE ? BIT(F_IN_BUNDLE) : 0);
	for (uint32_t i = 0; i < n->dep_count; i++)
		f |= BIT(sections[n->deps[i].section]);
	return f;
}

static void put_list(struct writer *w, const struct graph_strings *list, unsigned depth)
{
	struct group g = open_group(w, '[', depth);

	for (uint32_t i = 0; i < list->count; i++) {
		next_item(w, &g);
		put_str(w, list->items[i]);
	}
	close_group(w, &g, ']');
}

struct pair {
	const char *key, *value;
};

static int by_key(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return render_order(slice_str(x->key), false, slice_str(y->key), false);
}

#define PAIRS_INLINE 64 /* packages with more are rare */

static void put_pairs(struct writer *w, struct pair *p, uint32_t n, unsigned depth)
{
	struct group g = open_group(w, '{', depth);
	bool sorted = true;

	for (uint32_t i = 1; i < n && sorted; i++)
		sorted = by_key(&p[i - 1], &p[i]) <= 0;
	if (!sorted)
		qsort(p, n, sizeof *p, by_key);
	for (uint32_t i = 0; i < n; i++) {
		next_member(w, &g, p[i].key);
		put_str(w, p[i].value);
	}
	close_group(w, &g, '}');
}

/* Room for n pairs: `few`, or memory that *ret_many owns. */
static struct pair *room(struct writer *w, struct pair *few, uint32_t n, struct pair **ret_many)
{
	if (n <= PAIRS_INLINE)
		return few;
	*ret_many = calloc(n, sizeof **ret_many);
	if (!*ret_many)
		w->error = w->error ? w->error : -ENOMEM;
	return *ret_many;
}

static void put_section(struct writer *w, const struct graph_node *n, enum dep_section section,
			unsigned depth)
{
	struct pair few[PAIRS_INLINE], *p;
	auto_free struct pair *many = NULL;
	uint32_t count = 0;

	p = room(w, few, n->dep_count, &many);
	if (!p)
		return;
	for (uint32_t i = 0; i < n->dep_count; i++) {
		if (n->deps[i].section == section)
			p[count++] = (struct pair){ n->deps[i].name, n->deps[i].spec };
	}
	put_pairs(w, p, count, depth);
}

static void put_bins(struct writer *w, const struct graph_node *n, unsigned depth)
{
	struct pair few[PAIRS_INLINE], *p;
	auto_free struct pair *many = NULL;

	p = room(w, few, n->bin_count, &many);
	if (!p)
		return;
	for (uint32_t i = 0; i < n->bin_count; i++)
		p[i] = (struct pair){ n->bins[i].name, n->bins[i].target };
	put_pairs(w, p, n->bin_count, depth);
}

static void put_field(struct writer *w, const struct graph_node *n, int f, unsigned depth)
{
	switch (f) {
	case F_NAME:
		return put_str(w, n->pkg_name);
	case F_VERSION:
		return put_str(w, n->version);
	case F_RESOLVED:
		return put_str(w, n->resolved);
	case F_INTEGRITY:
		return put_str(w, n->integrity);
	case F_BUNDLED:
		return put_list(w, &n->bundled, depth);
	case F_CPU:
		return put_list(w, &n->cpu, depth);
	case F_LIBC:
		return put_list(w, &n->libc, depth);
	case F_OS:
		return put_list(w, &n->os, depth);
	case F_DEPS:
		return put_section(w, n, SECTION_PROD, depth);
	case F_DEV_DEPS:
		return put_section(w, n, SECTION_DEV, depth);
	case F_OPTIONAL_DEPS:
		return put_section(w, n, SECTION_OPTIONAL, depth);
	case F_PEER_DEPS:
		return put_section(w, n, SECTION_PEER, depth);
	case F_BIN:
		return put_bins(w, n, depth);
	default:
		PUT(w, "true");
	}
}

/* npm's hidden lock has these members alone, and none that is false or empty. */
static bool hidden_has(const struct graph_node *n, const struct json_member *m, uint32_t dropped)
{
	static const struct slice others[] = {
		SLICE("acceptDependencies"),
		SLICE("deprecated"),
		SLICE("engines"),
		SLICE("funding"),
		SLICE("license"),
		SLICE("peerDependenciesMeta"),
		SLICE("workspaces"),
	};
	int f = field_of(m->key);

	if (!json_text_true(m->value))
		return false;
	if (f >= 0)
		return !(dropped & BIT(f)) &&
		       (n->flags & NODE_TOP || (f != F_NAME && f != F_DEV_DEPS && f != F_BIN));
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (slice_eq(others[i], m->key))
			return true;
	}
	return false;
}

/* The fields that the residue says itself. */
static int residue_fields(const char *residue, uint32_t *ret)
{
	struct json_text t = json_text(residue);
	struct json_member m;

	*ret = 0;
	while (json_text_next(&t, &m)) {
		int f = field_of(m.key);

		if (f >= 0)
			*ret |= BIT(f);
	}
	return t.error;
}

static void put_member(struct writer *w, struct group *g, const struct json_member *m)
{
	next_item(w, g);
	put(w, m->key.ptr - 1, m->key.len + 2); /* with its quotes */
	end_key(w);
	put_value(w, m->value, g->depth);
}

/* The fields of `todo` that come before a member of the residue, or all when m is NULL. */
static void put_fields(struct writer *w, const struct graph_node *n, struct group *g,
		       uint32_t *todo, const struct json_member *m)
{
	while (*todo) {
		int f = __builtin_ctz(*todo);

		if (m && render_order(field_keys[f], f >= F_OBJECTS, m->key, m->is_object) > 0)
			return;
		next_item(w, g);
		PUT(w, "\"");
		put(w, field_keys[f].ptr, field_keys[f].len);
		PUT(w, "\"");
		end_key(w);
		put_field(w, n, f, g->depth);
		*todo &= *todo - 1;
	}
}

/* `dropped`: fields that the hidden lock does not have, whoever says them. */
static int put_entry(struct writer *w, const struct graph_node *n, bool hidden, uint32_t dropped,
		     unsigned depth)
{
	const char *residue = hidden && n->flags & NODE_LINK ? "" : n->residue;
	struct json_text t = json_text(residue);
	struct group g = open_group(w, '{', depth);
	struct json_member m;
	uint32_t said = 0, todo = fields_of(n);
	int r = residue_fields(residue, &said);

	if (r < 0)
		return r;
	if (hidden && !(n->flags & NODE_TOP))
		said &= ~(uint32_t)BIT(F_BIN); /* npm writes them as it understood them */
	todo &= ~(said | dropped);
	if (hidden)
		todo &= ~(uint32_t)BIT(F_DEV_DEPS); /* npm reads them of tops alone */
	while (json_text_next(&t, &m)) {
		if (hidden && !hidden_has(n, &m, dropped))
			continue;
		put_fields(w, n, &g, &todo, &m);
		put_member(w, &g, &m);
	}
	put_fields(w, n, &g, &todo, NULL);
	close_group(w, &g, '}');
	return 0;
}

/* ---- the whole ---- */

static int by_path(const void *a, const void *b, void *arg)
{
	const struct graph_node *nodes = arg;

	return render_order(slice_str(nodes[*(const uint32_t *)a].path), true,
			    slice_str(nodes[*(const uint32_t *)b].path), true);
}

/* The nodes in npm's order, which a lock that npm wrote has already. */
static int sort_nodes(const struct graph *g, uint32_t **ret)
{
	uint32_t *order = calloc((size_t)g->count + 1, sizeof *order);
	bool sorted = true;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->count; i++) {
		order[i] = i;
		if (i && sorted)
			sorted = by_path(&order[i - 1], &order[i], g->nodes) < 0;
	}
	if (!sorted)
		qsort_r(order, g->count, sizeof *order, by_path, g->nodes);
	*ret = order;
	return 0;
}

struct document {
	const struct graph *g;
	const bool *present; /* NULL: package-lock.json */
	const uint32_t *order;
	const bool *unresolved; /* nodes whose `resolved` is not printed; NULL: none */
	unsigned version;
};

static bool printed(const struct document *d, uint32_t i)
{
	/* npm writes no entry for a root that says nothing. */
	if (d->present)
		return i > 0 && d->present[i];
	return i > 0 || (d->g->nodes[0].residue && d->g->nodes[0].residue[0]);
}

static int put_packages(struct writer *w, const struct document *d, struct group *top)
{
	struct group g;

	next_member(w, top, "packages");
	g = open_group(w, '{', top->depth);
	for (uint32_t k = 0; k < d->g->count; k++) {
		const struct graph_node *n = &d->g->nodes[d->order[k]];
		int r;

		if (!printed(d, d->order[k]))
			continue;
		next_member(w, &g, n->path);
		r = put_entry(w, n, d->present != NULL,
			      d->unresolved && d->unresolved[d->order[k]] ? BIT(F_RESOLVED) : 0,
			      g.depth);
		if (r < 0)
			return r;
	}
	close_group(w, &g, '}');
	return 0;
}

enum top_field { T_NAME, T_VERSION, T_LOCKFILE_VERSION, T_REQUIRES, T_PACKAGES, T_FIELDS };

static const struct slice top_keys[T_FIELDS] = {
	[T_NAME] = SLICE("name"),
	[T_VERSION] = SLICE("version"),
	[T_LOCKFILE_VERSION] = SLICE("lockfileVersion"),
	[T_REQUIRES] = SLICE("requires"),
	[T_PACKAGES] = SLICE("packages"),
};

static int put_top_field(struct writer *w, const struct document *d, struct group *top, int f)
{
	char number[16];

	if (f == T_PACKAGES)
		return d->version > 1 ? put_packages(w, d, top) : 0;
	if (f == T_NAME && d->g->name) {
		next_member(w, top, "name");
		put_str(w, d->g->name);
	} else if (f == T_VERSION && d->g->version) {
		next_member(w, top, "version");
		put_str(w, d->g->version);
	} else if (f == T_LOCKFILE_VERSION) {
		(void)snprintf(number, sizeof number, "%u", d->version);
		next_member(w, top, "lockfileVersion");
		put(w, number, strlen(number));
	} else if (f == T_REQUIRES) {
		next_member(w, top, "requires");
		PUT(w, "true");
	}
	return 0;
}

/* A member of the top level that only the residue says. */
static bool top_member(const struct document *d, const struct json_member *m)
{
	for (int f = 0; f < T_FIELDS; f++) {
		if (slice_eq(top_keys[f], m->key))
			return false;
	}
	/* Version 2 says everything twice. */
	return !slice_eq(m->key, SLICE("dependencies")) || d->version < 3;
}

static int put_document(struct writer *w, const struct document *d)
{
	struct json_text t = json_text(d->g->top_residue);
	struct group top = open_group(w, '{', 0);
	struct json_member m;
	int f = 0, r = 0;

	while (r == 0 && json_text_next(&t, &m)) {
		if (!top_member(d, &m))
			continue;
		while (r == 0 && f < T_FIELDS &&
		       render_order(top_keys[f], f == T_PACKAGES, m.key, m.is_object) < 0)
			r = put_top_field(w, d, &top, f++);
		put_member(w, &top, &m);
	}
	while (r == 0 && f < T_FIELDS)
		r = put_top_field(w, d, &top, f++);
	close_group(w, &top, '}');
	return r ? r : t.error;
}

/* The text into the caller's buf: as it is, when that is empty. */
static int hand_over(struct writer *w, struct buf *ret)
{
	if (ret->data || buf_error(ret) < 0 || w->cap > ret->max) {
		buf_add(ret, w->data, w->len);
		return buf_error(ret);
	}
	ret->len = w->len;
	ret->cap = w->cap;
	ret->data = take(&w->data);
	return 0;
}

static int render(struct document *d, const char *indent, bool crlf, bool final_newline,
		  struct buf *ret, struct err *e)
{
	struct writer w cleanup(writer_release);
	auto_free uint32_t *order = NULL;
	int r;

	writer_init(&w, indent, crlf);
	r = sort_nodes(d->g, &order);
	d->order = order;
	if (r == 0)
		r = put_document(&w, d);
	if (final_newline)
		put(&w, w.pad, w.nl);
	if (r == 0)
		r = w.error;
	if (r == 0)
		r = hand_over(&w, ret);
	return r < 0 ? err_set(e, r, "cannot print the lock: %s",
			       r == -EBADMSG ? "an entry's remains are no JSON object"
					     : strerror(-r))
		     : 0;
}

static bool names_registry(const char *spec, struct arena *a)
{
	struct spec s;

	return spec_parse(&s, SLICE("x"), slice_str(spec), SLICE("/"), a, NULL) == 0 &&
	       (s.type == SPEC_VERSION || s.type == SPEC_RANGE || s.type == SPEC_TAG ||
		s.type == SPEC_ALIAS);
}

/* npm's idea of a package of the registry: something depends on it, and all that do name a version
 * or a tag. */
static int find_registry_packages(const struct graph *g, bool **ret)
{
	auto_free bool *is = calloc((size_t)g->count + 1, sizeof *is);
	auto_free bool *is_not = calloc((size_t)g->count + 1, sizeof *is_not);
	struct arena a = ARENA_INIT(SPECS_MAX);

	if (!is || !is_not)
		return -ENOMEM;
	for (uint32_t k = 0; k < g->edge_count; k++) {
		uint32_t to = g->edges[k].to;

		if (to == GRAPH_NONE || g->nodes[to].flags & NODE_LINK)
			continue;
		is[to] = true;
		is_not[to] |= !names_registry(g->edges[k].spec, &a);
		arena_release(&a);
	}
	for (uint32_t i = 0; i < g->count; i++)
		is[i] &= !is_not[i];
	*ret = take(&is);
	return 0;
}

int render_hidden(const struct graph *g, const bool *present, bool omit_resolved, struct buf *ret,
		  struct err *e)
{
	struct document d = { .g = g, .present = present, .version = 3 };
	auto_free bool *unresolved = NULL;
	int r = omit_resolved ? find_registry_packages(g, &unresolved) : 0;

	if (r < 0)
		return err_set(e, r, "no memory to print the lock");
	d.unresolved = unresolved;
	return render(&d, g->style.indent[0] ? g->style.indent : "  ", g->style.crlf, true, ret, e);
}

static int render_as(const struct graph *g, unsigned version, struct buf *ret, struct err *e)
{
	struct document d = { .g = g, .version = version };

	return render(&d, g->style.indent, g->style.crlf, !g->style.no_final_newline, ret, e);
}

int render_package_lock(const struct graph *g, struct buf *ret, struct err *e)
{
	return render_as(g, g->lockfile_version < 2 ? 3 : g->lockfile_version, ret, e);
}

int render_package_lock_v1(const struct graph *g, struct buf *ret, struct err *e)
{
	return render_as(g, 1, ret, e);
}
