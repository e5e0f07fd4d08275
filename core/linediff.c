#include "core/linediff.h"

#include <ctype.h>
#include <stdio.h>

#define CONTEXT      3
#define COST_MAX     2000 /* edits that are searched for: 16 MB of traces, 4 million steps */
#define FUNCTION_MAX 80   /* bytes of a line that are shown behind @@ */
#define BINARY_LOOK  8000 /* bytes in which git looks for a zero */

struct side {
	const struct slice *lines;
	const uint32_t *ids; /* equal lines have equal numbers, in both texts */
	bool *changed;
	size_t count;
};

bool linediff_is_binary(struct slice text)
{
	size_t n = text.len < BINARY_LOOK ? text.len : BINARY_LOOK;

	return n > 0 && memchr(text.ptr, '\0', n);
}

/* ---- lines ---- */

static size_t count_lines(struct slice text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += text.ptr[i] == '\n';
	return n + (text.len > 0 && text.ptr[text.len - 1] != '\n');
}

static void cut(struct slice text, struct slice *lines)
{
	while (text.len > 0) {
		const uint8_t *end = memchr(text.ptr, '\n', text.len);
		size_t n = end ? (size_t)(end - text.ptr) + 1 : text.len;

		*lines++ = (struct slice){ text.ptr, n };
		text.ptr += n;
		text.len -= n;
	}
}

static uint64_t hash_of(struct slice line)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < line.len; i++)
		h = (h ^ line.ptr[i]) * 1099511628211u;
	return h;
}

/* Gives equal lines equal numbers. */
static int number(const struct slice *lines, uint32_t *ids, size_t count)
{
	size_t size = 16;
	uint32_t *table;

	while (size < count * 2)
		size *= 2;
	table = calloc(size, sizeof *table); /* number of a line, and 1 */
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		size_t at = hash_of(lines[i]) & (size - 1);

		while (table[at] && !slice_eq(lines[table[at] - 1], lines[i]))
			at = (at + 1) & (size - 1);
		if (!table[at])
			table[at] = (uint32_t)i + 1;
		ids[i] = table[at];
	}
	free(table);
	return 0;
}

/* ---- the edit script ---- */

/* One row of the search: how far the paths with d edits reach on diagonals -d, -d+2 .. d. */
static int *row_of(int *rows, int d)
{
	return rows + (size_t)d * ((size_t)d + 1) / 2;
}

/* The better of the two ways onto diagonal k with the d-th edit: whether it is down (a line that
 * came) or right (one that went), and how far it leads; -1: neither stays inside. */
static int step(const int *before, int d, int k, int n, int m, bool *down)
{
	int right_x = k > -d ? before[(k - 1 + d - 1) / 2] : -1;
	int down_x = k < d ? before[(k + 1 + d - 1) / 2] : -1;
	bool right_fits = right_x >= 0 && right_x < n;
	bool down_fits = down_x >= 0 && down_x - k <= m;

	*down = down_fits && (!right_fits || right_x < down_x);
	return *down ? down_x : right_fits ? right_x + 1 : -1;
}

static int reach(const struct side *a, const struct side *b, size_t from, int n, int m,
		 const int *before, int d, int k)
{
	bool down;
	int x = d == 0 ? 0 : step(before, d, k, n, m, &down);

	while (x >= 0 && x < n && x - k < m &&
	       a->ids[from + (size_t)x] == b->ids[from + (size_t)(x - k)])
		x++;
	return x;
}

/* Back from the end: which lines went and which came. */
static void trace(const struct side *a, const struct side *b, size_t from, int n, int m, int *rows,
		  int d)
{
	int k = n - m;

	for (; d > 0; d--) {
		const int *before = row_of(rows, d - 1);
		bool down;
		int x = step(before, d, k, n, m, &down);

		if (down)
			b->changed[from + (size_t)(x - k) - 1] = true;
		else
			a->changed[from + (size_t)x - 1] = true;
		k += down ? 1 : -1;
	}
}

/* Marks what differs in a[from .. from+n) and b[from .. from+m): false if it is too much. */
static bool search(const struct side *a, const struct side *b, size_t from, int n, int m, int *rows,
		   int most)
{
	for (int d = 0; d <= most; d++) {
		int *row = row_of(rows, d);
		const int *before = d > 0 ? row_of(rows, d - 1) : NULL;

		for (int k = -d; k <= d; k += 2) {
			int x = reach(a, b, from, n, m, before, d, k);

			row[(k + d) / 2] = x;
			if (x == n && x - k == m) {
				trace(a, b, from, n, m, rows, d);
				return true;
			}
		}
	}
	return false;
}

static int mark(const struct side *a, const struct side *b)
{
	size_t from = 0, a_end = a->count, b_end = b->count;
	auto_free int *rows = NULL;

	while (from < a_end && from < b_end && a->ids[from] == b->ids[from])
		from++;
	while (a_end > from && b_end > from && a->ids[a_end - 1] == b->ids[b_end - 1]) {
		a_end--;
		b_end--;
	}
	if (a_end > from && b_end > from) {
		size_t all = a_end - from + b_end - from, most = all < COST_MAX ? all : COST_MAX;

		rows = malloc((most + 1) * (most + 2) / 2 * sizeof *rows);
		if (!rows)
			return -ENOMEM;
		if (search(a, b, from, (int)(a_end - from), (int)(b_end - from), rows, (int)most))
			return 0;
	}
	memset(a->changed + from, 1, a_end - from);
	memset(b->changed + from, 1, b_end - from);
	return 0;
}

/* A run of changed lines that could as well stand lower is moved down, as git does: an added
 * function then begins with its first line, not with the brace of the one before. */
static void slide(const struct side *s, const struct side *other)
{
	size_t i = 0, k = 0;

	while (i < s->count) {
		size_t start, end;

		while (i < s->count && !s->changed[i]) {
			while (other->changed[k])
				k++;
			i++;
			k++;
		}
		start = i;
		while (i < s->count && s->changed[i])
			i++;
		end = i;
		/* Only where the other side stands still, so that nothing merges with a change
		 * there. */
		while (end > start && end < s->count && !s->changed[end] && !other->changed[k] &&
		       s->ids[start] == s->ids[end]) {
			s->changed[start++] = false;
			s->changed[end++] = true;
			k++;
			while (end < s->count && s->changed[end])
				end++;
		}
		i = end;
	}
}

/* ---- printing ---- */

static void put_line(struct buf *out, char sign, struct slice line)
{
	buf_add(out, &sign, 1);
	buf_add(out, line.ptr, line.len);
	if (line.ptr[line.len - 1] != '\n')
		buf_addstr(out, "\n\\ No newline at end of file\n");
}

static void put_range(struct buf *out, char sign, size_t start, size_t count)
{
	buf_addf(out, "%c%zu", sign, count ? start + 1 : start);
	if (count != 1)
		buf_addf(out, ",%zu", count);
}

/* The last line in front of `before`, not in front of `least`, that begins with a letter, '_' or
 * '$'. */
static void put_function(struct buf *out, const struct side *a, size_t before, struct slice *last,
			 size_t least)
{
	for (size_t i = before; i > least; i--) {
		struct slice line = a->lines[i - 1];

		if (!isalpha(line.ptr[0]) && line.ptr[0] != '_' && line.ptr[0] != '$')
			continue;
		*last = line;
		break;
	}
	if (!last->ptr)
		return;
	struct slice shown = *last;

	if (shown.len > FUNCTION_MAX)
		shown.len = FUNCTION_MAX;
	while (shown.len > 0 && isspace(shown.ptr[shown.len - 1]))
		shown.len--;
	buf_addf(out, " %.*s", SLICE_FMT(shown));
}

/* Where a hunk ends that begins with the change at (*i, *k): behind the last change that the
 * context of the one before reaches. */
static void hunk_end(const struct side *a, const struct side *b, size_t *i, size_t *k)
{
	size_t ai = *i, bk = *k;

	for (;;) {
		size_t same = 0;

		while (ai < a->count && a->changed[ai])
			ai++;
		while (bk < b->count && b->changed[bk])
			bk++;
		*i = ai;
		*k = bk;
		while (same <= 2 * CONTEXT && ai < a->count && !a->changed[ai] && !b->changed[bk]) {
			ai++;
			bk++;
			same++;
		}
		if (same > 2 * CONTEXT || (ai == a->count && bk == b->count))
			return;
	}
}

static void put_hunk(struct buf *out, const struct side *a, const struct side *b, size_t i,
		     size_t i_end, size_t k, size_t k_end)
{
	while (i < i_end || k < k_end) {
		while (i < i_end && a->changed[i])
			put_line(out, '-', a->lines[i++]);
		while (k < k_end && b->changed[k])
			put_line(out, '+', b->lines[k++]);
		while (i < i_end && k < k_end && !a->changed[i] && !b->changed[k]) {
			put_line(out, ' ', a->lines[i++]);
			k++;
		}
	}
}

static void put_hunks(struct buf *out, const struct side *a, const struct side *b)
{
	struct slice function = { 0 };
	size_t i = 0, k = 0, looked = 0;

	for (;;) {
		size_t lead, tail, from, to;

		while (i < a->count && k < b->count && !a->changed[i] && !b->changed[k]) {
			i++;
			k++;
		}
		if (i == a->count && k == b->count)
			return;
		lead = i < CONTEXT ? i : CONTEXT;
		from = i - lead;
		to = k - lead;
		hunk_end(a, b, &i, &k);
		tail = a->count - i < CONTEXT ? a->count - i : CONTEXT;
		i += tail;
		k += tail;
		buf_addstr(out, "@@ ");
		put_range(out, '-', from, i - from);
		buf_addstr(out, " ");
		put_range(out, '+', to, k - to);
		buf_addstr(out, " @@");
		put_function(out, a, from, &function, looked);
		looked = from;
		buf_addstr(out, "\n");
		put_hunk(out, a, b, from, i, to, k);
	}
}

int linediff(struct buf *out, struct slice old, struct slice fresh)
{
	size_t a = count_lines(old), b = count_lines(fresh), all = a + b;
	auto_free struct slice *lines = NULL;
	auto_free uint32_t *ids = NULL;
	auto_free bool *changed = NULL;
	int r;

	if (slice_eq(old, fresh))
		return 0;
	if (all > LINEDIFF_LINES_MAX)
		return -E2BIG;
	lines = calloc(all, sizeof *lines);
	ids = calloc(all, sizeof *ids);
	changed = calloc(all + 2, sizeof *changed); /* a stop behind each side */
	if (!lines || !ids || !changed)
		return -ENOMEM;
	cut(old, lines);
	cut(fresh, lines + a);
	r = number(lines, ids, all);
	if (r < 0)
		return r;

	struct side from = { lines, ids, changed, a };
	struct side to = { lines + a, ids + a, changed + a + 1, b };

	r = mark(&from, &to);
	if (r < 0)
		return r;
	slide(&from, &to);
	slide(&to, &from);
	put_hunks(out, &from, &to);
	return buf_error(out);
}
