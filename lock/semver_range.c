/* npm defines a range by a chain of textual replacements, and its corners follow from their order.
 * So the text is rewritten here in the same order, in buffers on the stack, until pieces are left
 * that are single comparators. */
#include "lock/semver_priv.h"

enum op {
	OP_EQ,
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE,
	OP_ANY, /* no version */
};

struct semver_comparator {
	struct semver v; /* pre lies behind the comparators; no build */
	uint8_t op;
	bool last; /* of its alternative */
};

/* What a hyphen range may add to a text: two operators, ".0.0-0" twice, a number that grew. */
#define HYPHEN_GROWTH 64

/* The longest comparator text that is composed here. Longer ones exceed SEMVER_LEN_MAX anyway. */
#define TOKEN_MAX 1024

struct token {
	char text[TOKEN_MAX];
	size_t len;
	bool overflow;
};

struct parser {
	unsigned flags;
	struct semver_comparator *comps;
	unsigned count, set; /* comparators so far; where the present alternative starts */
	char *pool;          /* room for the prereleases' text */
	int error;           /* what makes the whole range invalid */
	bool null;           /* the present alternative has the null comparator */
};

static const char *op_text[] = { "", "<", "<=", ">", ">=", "" };

static struct slice slice_from(struct slice s, size_t n)
{
	return n ? (struct slice){ s.ptr + n, s.len - n } : s; /* NULL + 0 is no C */
}

/* <, <=, >, >=, = at the start; its length, with none 0. */
static size_t match_op(struct slice s)
{
	size_t n = s.len > 0 && (s.ptr[0] == '<' || s.ptr[0] == '>');

	return n + (n < s.len && s.ptr[n] == '=');
}

static enum op op_of(struct slice s)
{
	if (s.len == 0 || s.ptr[0] == '=')
		return OP_EQ;
	if (s.ptr[0] == '<')
		return s.len == 2 ? OP_LE : OP_LT;
	return s.len == 2 ? OP_GE : OP_GT;
}

/* ---- composing ---- */

static void put(struct token *t, struct slice s)
{
	if (s.len > sizeof t->text - t->len) {
		t->overflow = true;
		return;
	}
	if (s.len > 0)
		memcpy(t->text + t->len, s.ptr, s.len);
	t->len += s.len;
}

static void puts_(struct token *t, const char *s)
{
	put(t, slice_str(s));
}

static void put_u64(struct token *t, uint64_t n)
{
	uint8_t digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (uint8_t)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	put(t, (struct slice){ digits + at, sizeof digits - at });
}

/* The number after this one, as JavaScript prints it: past 2^53 it is too large for a version, and
 * from 1e21 on it is not even digits, which loose mode forgives. */
static void put_next(struct token *t, struct slice digits)
{
	uint64_t n = semver_number(digits);
	char text[SEMVER_TEXT_MAX];

	if (n <= SEMVER_NUMBER_MAX) {
		put_u64(t, n + 1);
		return;
	}
	memcpy(text, digits.ptr, digits.len);
	text[digits.len] = '\0';
	puts_(t, strtod(text, NULL) >= 1e21 ? "1e+21" : "9007199254740993");
}

static struct token token_new(const char *op)
{
	struct token t;

	t.len = 0;
	t.overflow = false;
	puts_(&t, op);
	return t;
}

/* ---- one comparator ---- */

static bool is_null(const struct semver_comparator *c)
{
	return c->op == OP_LT && c->v.major == 0 && c->v.minor == 0 && c->v.patch == 0 &&
	       c->v.pre.len == 1 && c->v.pre.ptr[0] == '0';
}

static bool main_same(const struct semver *a, const struct semver *b)
{
	return a->major == b->major && a->minor == b->minor && a->patch == b->patch;
}

static bool version_same(const struct semver *a, const struct semver *b)
{
	return main_same(a, b) && semver_pre_same(a->pre, b->pre);
}

static void add_comparator(struct parser *p, enum op op, struct semver v)
{
	struct semver_comparator *c = &p->comps[p->count];

	for (unsigned i = p->set; i < p->count; i++) {
		if (p->comps[i].op == op && (op == OP_ANY || version_same(&p->comps[i].v, &v)))
			return;
	}
	if (v.pre.len > 0) {
		memcpy(p->pool, v.pre.ptr, v.pre.len);
		v.pre.ptr = (uint8_t *)p->pool;
		p->pool += v.pre.len;
	}
	v.build = (struct slice){ 0 };
	*c = (struct semver_comparator){ .v = v, .op = (uint8_t)op };
	/* 0.0.0-00 was read loose, but it is 0.0.0-0 and the null comparator all the same. */
	if (v.pre.len > 1 && semver_pre_same(v.pre, SLICE("0")))
		c->v.pre.len = 1;
	p->null |= is_null(c);
	p->count++;
}

/* A text that is one comparator, or none at all. */
static void take_comparator(struct parser *p, struct slice text)
{
	struct slice any = p->flags & SEMVER_PRERELEASE ? SLICE(">=0.0.0-0") : SLICE(">=0.0.0");
	size_t n = match_op(text);
	struct slice version = slice_from(text, n);
	struct semver_parts parts;
	struct semver v = { 0 };

	if (text.len == 0 || slice_eq(text, any)) {
		add_comparator(p, OP_ANY, v);
		return;
	}
	if (semver_match(version, p->flags & SEMVER_LOOSE, &parts) < 0) {
		if (!(p->flags & SEMVER_LOOSE))
			p->error = -EINVAL;
		return;
	}
	if (version.len > SEMVER_LEN_MAX || semver_from_parts(&v, &parts) < 0)
		p->error = -EINVAL;
	else
		add_comparator(p, op_of((struct slice){ text.ptr, n }), v);
}

static void take_token(struct parser *p, const struct token *t)
{
	if (t->overflow)
		p->error = -EINVAL;
	else
		take_comparator(p, (struct slice){ (const uint8_t *)t->text, t->len });
}

/* ---- carets, tildes, x-ranges ---- */

static bool is_x(struct slice id)
{
	return id.len == 0 || *id.ptr == 'x' || *id.ptr == 'X' || *id.ptr == '*';
}

static bool is_zero(struct slice id)
{
	return id.len == 1 && *id.ptr == '0';
}

/* The lowest version that the given numbers allow. */
static void take_lower(struct parser *p, const struct semver_parts *v)
{
	struct token t = token_new(">=");
	bool open = is_x(v->minor) || is_x(v->patch);

	put(&t, v->major);
	puts_(&t, ".");
	put(&t, is_x(v->minor) ? SLICE("0") : v->minor);
	puts_(&t, ".");
	put(&t, open ? SLICE("0") : v->patch);
	if (open && (p->flags & SEMVER_PRERELEASE)) {
		puts_(&t, "-0");
	} else if (!open && v->pre.len > 0) {
		puts_(&t, "-");
		put(&t, v->pre);
	}
	take_token(p, &t);
}

/* Below the version in which this number (0 major, 1 minor, 2 patch) is one higher. */
static void take_upper(struct parser *p, const struct semver_parts *v, unsigned which)
{
	struct token t = token_new("<");

	if (which > 0) {
		put(&t, v->major);
		puts_(&t, ".");
	}
	if (which > 1) {
		put(&t, v->minor);
		puts_(&t, ".");
	}
	put_next(&t, which == 0 ? v->major : which == 1 ? v->minor : v->patch);
	puts_(&t, which == 0 ? ".0.0-0" : which == 1 ? ".0-0" : "-0");
	take_token(p, &t);
}

static void take_caret(struct parser *p, const struct semver_parts *v)
{
	unsigned which = 0;

	if (!is_x(v->minor) && is_zero(v->major))
		which = !is_x(v->patch) && is_zero(v->minor) ? 2 : 1;
	take_lower(p, v);
	take_upper(p, v, which);
}

static void take_tilde(struct parser *p, const struct semver_parts *v)
{
	take_lower(p, v);
	take_upper(p, v, is_x(v->minor) ? 0 : 1);
}

/* An operator before a version whose minor or patch is left open. */
static void take_open_op(struct parser *p, enum op op, const struct semver_parts *v)
{
	bool xm = is_x(v->minor), next = op == OP_GT || op == OP_LE;
	bool up = op == OP_GT || op == OP_GE;
	struct token t = token_new(up ? ">=" : "<");

	if (xm && next) {
		put_next(&t, v->major);
	} else {
		put(&t, v->major);
	}
	puts_(&t, ".");
	if (xm)
		puts_(&t, "0");
	else if (next)
		put_next(&t, v->minor);
	else
		put(&t, v->minor);
	puts_(&t, ".0");
	if (!up || (p->flags & SEMVER_PRERELEASE))
		puts_(&t, "-0");
	take_token(p, &t);
}

enum outcome {
	NOTHING, /* no such form: go on */
	ANYTHING,
	TAKEN,
};

static enum outcome expand_xrange(struct parser *p, struct slice piece)
{
	unsigned flags = (p->flags & SEMVER_LOOSE) | MATCH_XRANGE;
	size_t n = match_op(piece);
	enum op op = op_of((struct slice){ piece.ptr, n });
	struct semver_parts v;

	if (semver_match(slice_from(piece, n), flags, &v) < 0)
		return NOTHING;
	if ((is_x(v.major) && !is_x(v.minor)) || (is_x(v.minor) && !is_x(v.patch)))
		return NOTHING;
	if (is_x(v.major)) {
		if (op != OP_LT && op != OP_GT)
			return ANYTHING;
		take_comparator(p, SLICE("<0.0.0-0"));
		return TAKEN;
	}
	if (!is_x(v.minor) && !is_x(v.patch))
		return NOTHING;
	if (op == OP_EQ)
		take_tilde(p, &v);
	else
		take_open_op(p, op, &v);
	return TAKEN;
}

static enum outcome expand_piece(struct parser *p, struct slice piece)
{
	unsigned flags = (p->flags & SEMVER_LOOSE) | MATCH_XRANGE;
	bool caret = piece.ptr[0] == '^', tilde = piece.ptr[0] == '~';
	size_t n = 1 + (tilde && piece.len > 1 && piece.ptr[1] == '>');
	struct semver_parts v;

	if (!caret && !tilde)
		return expand_xrange(p, piece);
	if (semver_match(slice_from(piece, n), flags, &v) < 0)
		return NOTHING;
	if (is_x(v.major))
		return ANYTHING;
	if (caret)
		take_caret(p, &v);
	else
		take_tilde(p, &v);
	return TAKEN;
}

/* Takes the first star out, with the operator before it; the new length. */
static size_t remove_star(uint8_t *s, size_t len)
{
	uint8_t *star = memchr(s, '*', len), *from = star;

	if (!star)
		return len;
	if (from > s && from[-1] == '=')
		from--;
	if (from > s && (from[-1] == '<' || from[-1] == '>'))
		from--;
	memmove(from, star + 1, len - (size_t)(star + 1 - s));
	return len - (size_t)(star + 1 - from);
}

/* Splits at spaces. A piece that comes to nothing means "any", but only at either end: between
 * others npm loses it when it joins the pieces again. */
static void take_pieces(struct parser *p, uint8_t *s, size_t len)
{
	bool first = true, empty = false;

	for (size_t at = 0; at <= len && !p->error; first = false) {
		uint8_t *space = memchr(s + at, ' ', len - at);
		size_t n = space ? (size_t)(space - (s + at)) : len - at;
		enum outcome o = n > 0 ? expand_piece(p, (struct slice){ s + at, n }) : ANYTHING;
		size_t left = o == NOTHING ? remove_star(s + at, n) : 0;

		if (left > 0)
			take_comparator(p, (struct slice){ s + at, left });
		empty = o != TAKEN && left == 0;
		if (empty && first)
			take_comparator(p, SLICE(""));
		at += n + 1;
	}
	if (empty && !p->error)
		take_comparator(p, SLICE(""));
}

/* ---- one alternative ---- */

/* Removes every "+build"; the new length. */
static size_t remove_builds(uint8_t *to, struct slice s)
{
	size_t len = 0;

	for (size_t i = 0; i < s.len;) {
		size_t n = 0, at = i + 1;

		while (s.ptr[i] == '+' && at < s.len) {
			size_t word = 0;

			while (at + word < s.len && semver_is_word(s.ptr[at + word]))
				word++;
			if (word == 0)
				break;
			n = at + word - i;
			if (at + word == s.len || s.ptr[at + word] != '.')
				break;
			at += word + 1;
		}
		if (n == 0)
			to[len++] = s.ptr[i++];
		else
			i += n;
	}
	return len;
}

static struct token hyphen_lower(const struct semver_parts *v, struct slice text, unsigned flags)
{
	struct token t = token_new("");
	bool open = is_x(v->minor) || is_x(v->patch);

	if (is_x(v->major))
		return t;
	puts_(&t, ">=");
	put(&t, open ? v->major : text);
	if (open) {
		puts_(&t, ".");
		put(&t, is_x(v->minor) ? SLICE("0") : v->minor);
		puts_(&t, ".0");
	}
	if ((flags & SEMVER_PRERELEASE) && (open || v->pre.len == 0))
		puts_(&t, "-0");
	return t;
}

static struct token hyphen_upper(const struct semver_parts *v, struct slice text, unsigned flags)
{
	bool full = !is_x(v->minor) && !is_x(v->patch), next = flags & SEMVER_PRERELEASE;
	struct token t = token_new("");

	if (is_x(v->major))
		return t;
	if (full && v->pre.len == 0 && !next) {
		puts_(&t, "<=");
		put(&t, text);
		return t;
	}
	puts_(&t, full && v->pre.len > 0 ? "<=" : "<");
	if (is_x(v->minor)) {
		put_next(&t, v->major);
		puts_(&t, ".0.0-0");
		return t;
	}
	put(&t, v->major);
	puts_(&t, ".");
	if (!full) {
		put_next(&t, v->minor);
		puts_(&t, ".0-0");
		return t;
	}
	put(&t, v->minor);
	puts_(&t, ".");
	if (v->pre.len == 0) {
		put_next(&t, v->patch);
		puts_(&t, "-0");
		return t;
	}
	put(&t, v->patch);
	puts_(&t, "-");
	put(&t, v->pre);
	return t;
}

/* `A - B`, if the text is one, becomes two comparators; the new length, or a negative errno. */
static ptrdiff_t replace_hyphen(uint8_t *s, size_t len, unsigned flags)
{
	unsigned match = (flags & SEMVER_LOOSE) | MATCH_XRANGE;
	struct slice text = { s, len }, from, to;
	struct semver_parts a, b;
	struct token lower, upper;
	ptrdiff_t n;

	if (len > 0 && *s == ' ')
		text = slice_from(text, 1);
	n = semver_match(text, match | MATCH_HYPHEN_END, &a);
	if (n < 0)
		return (ptrdiff_t)len;
	from = (struct slice){ text.ptr, (size_t)n };
	to = slice_from(text, (size_t)n + 3);
	n = semver_match(to, match | MATCH_SPACE_END, &b);
	if (n < 0)
		return (ptrdiff_t)len;
	to.len = (size_t)n;
	lower = hyphen_lower(&a, from, flags);
	upper = hyphen_upper(&b, to, flags);
	if (lower.overflow || upper.overflow)
		return -EINVAL;
	memcpy(s, lower.text, lower.len);
	n = (ptrdiff_t)lower.len;
	if (lower.len > 0 && upper.len > 0)
		s[n++] = ' ';
	memcpy(s + n, upper.text, upper.len);
	return n + (ptrdiff_t)upper.len;
}

/* The space between an operator and a version goes; the new length. */
static size_t trim_operators(uint8_t *s, size_t len)
{
	size_t out = 0;

	for (size_t at = 0; at < len;) {
		size_t lead = s[at] == ' ', op, space;
		struct slice rest = { s + at + lead, len - at - lead };
		struct semver_parts parts;
		ptrdiff_t n;

		op = match_op(rest);
		space = op < rest.len && rest.ptr[op] == ' ';
		rest = slice_from(rest, op + space);
		n = semver_match(rest, SEMVER_LOOSE | MATCH_OPEN_END, &parts);
		if (n < 0)
			n = semver_match(rest, MATCH_XRANGE | MATCH_OPEN_END, &parts);
		if (n < 0) {
			s[out++] = s[at++];
			continue;
		}
		memmove(s + out, s + at, lead + op);
		out += lead + op;
		memmove(s + out, rest.ptr, (size_t)n);
		out += (size_t)n;
		at += lead + op + space + (size_t)n;
	}
	return out;
}

/* So does the one after `~`, `~>` (which becomes `~`) and `^`. */
static size_t trim_sigil(uint8_t *s, size_t len, uint8_t sigil)
{
	size_t out = 0;

	for (size_t at = 0; at < len;) {
		size_t n = 1 + (sigil == '~' && at + 1 < len && s[at + 1] == '>');

		s[out++] = s[at];
		at += s[at] == sigil && at + n < len && s[at + n] == ' ' ? n + 1 : 1;
	}
	return out;
}

static void drop_any_beside_others(struct parser *p)
{
	for (unsigned i = p->set; i < p->count && p->count - p->set > 1; i++) {
		if (p->comps[i].op != OP_ANY)
			continue;
		memmove(&p->comps[i], &p->comps[i + 1], (p->count - i - 1) * sizeof p->comps[0]);
		p->count--;
		return;
	}
}

/* A part between two `||`; `s` has HYPHEN_GROWTH bytes to spare. */
static void take_part(struct parser *p, uint8_t *s, struct slice part)
{
	size_t len = remove_builds(s, part);
	ptrdiff_t r = replace_hyphen(s, len, p->flags);

	if (r < 0) {
		p->error = (int)r;
		return;
	}
	len = trim_operators(s, (size_t)r);
	len = trim_sigil(s, len, '~');
	len = trim_sigil(s, len, '^');
	p->set = p->count;
	p->null = false;
	take_pieces(p, s, len);
	if (p->error || p->count == p->set)
		return;
	if (p->null) {
		unsigned i = p->set;

		while (!is_null(&p->comps[i]))
			i++;
		p->comps[p->set] = p->comps[i];
		p->count = p->set + 1;
	}
	drop_any_beside_others(p);
	p->comps[p->count - 1].last = true;
}

/* ---- the whole ---- */

/* White space to single spaces; returns the length, which never exceeds the text's. */
static size_t squeeze(uint8_t *to, struct slice text)
{
	const uint8_t *end;
	size_t len = 0, n;

	text = semver_trim(text);
	end = text.ptr + text.len;
	for (const uint8_t *at = text.ptr; at < end;) {
		n = semver_space(at, end);
		if (n == 0) {
			to[len++] = *at++;
			continue;
		}
		if (len > 0 && to[len - 1] != ' ')
			to[len++] = ' ';
		at += n;
	}
	return len;
}

/* With several alternatives, null sets go unless all are, and one that is `*` is the whole. */
static void simplify(struct parser *p)
{
	unsigned sets = 0, kept = 0;

	for (unsigned i = 0; i < p->count; i++)
		sets += p->comps[i].last;
	if (sets < 2)
		return;
	for (unsigned i = 0; i < p->count; i++) {
		if (!is_null(&p->comps[i]))
			p->comps[kept++] = p->comps[i];
	}
	if (kept == 0) /* the first null set stands where it stood */
		kept = 1;
	p->count = kept;
	for (unsigned i = 0; i < kept; i++) {
		if (p->comps[i].op == OP_ANY) {
			p->comps[0] = p->comps[i];
			p->count = 1;
			return;
		}
	}
}

static void take_parts(struct parser *p, struct slice text)
{
	uint8_t scratch[SEMVER_RANGE_MAX + HYPHEN_GROWTH];

	for (;;) {
		const uint8_t *bar = text.len ? memmem(text.ptr, text.len, "||", 2) : NULL;
		size_t n = bar ? (size_t)(bar - text.ptr) : text.len;

		take_part(p, scratch, semver_trim((struct slice){ text.ptr, n }));
		if (p->error || !bar)
			return;
		text = slice_from(text, n + 2);
	}
}

/* At most two comparators come of a piece, and one of nothing at either end of a part. */
static unsigned comparators_max(struct slice text)
{
	unsigned pieces = 2;

	for (size_t i = 0; i < text.len; i++)
		pieces += text.ptr[i] == ' ' || text.ptr[i] == '|';
	return pieces * 2;
}

int semver_range_parse(struct semver_range *ret, struct slice text, unsigned flags)
{
	uint8_t squeezed[SEMVER_RANGE_MAX];
	struct parser p = { .flags = flags };
	auto_free struct semver_comparator *comps = NULL;
	unsigned max;

	if (text.len > SEMVER_RANGE_MAX)
		return -E2BIG;
	text = (struct slice){ squeezed, squeeze(squeezed, text) };
	max = comparators_max(text);
	/* A prerelease is part of the text, or the "0" that was added to a comparator. */
	comps = malloc(max * sizeof *comps + text.len + max);
	if (!comps)
		return -ENOMEM;
	p.comps = comps;
	p.pool = (char *)(comps + max);
	take_parts(&p, text);
	if (p.error || p.count == 0)
		return -EINVAL;
	simplify(&p);
	*ret = (struct semver_range){ .comps = take(&comps), .count = p.count, .flags = flags };
	return 0;
}

void semver_range_release(struct semver_range *r)
{
	free(r->comps);
	*r = (struct semver_range){ 0 };
}

static bool comparator_test(const struct semver_comparator *c, const struct semver *v)
{
	int r;

	if (c->op == OP_ANY)
		return true;
	r = semver_cmp(v, &c->v);
	switch ((enum op)c->op) {
	case OP_LT:
		return r < 0;
	case OP_LE:
		return r <= 0;
	case OP_GT:
		return r > 0;
	case OP_GE:
		return r >= 0;
	default:
		return r == 0;
	}
}

static bool names_prerelease_of(const struct semver_comparator *c, const struct semver *v)
{
	return c->op != OP_ANY && c->v.pre.len > 0 && main_same(&c->v, v);
}

bool semver_range_test(const struct semver_range *r, const struct semver *v)
{
	bool strict = v->pre.len > 0 && !(r->flags & SEMVER_PRERELEASE);
	bool fits = true, named = !strict;

	for (unsigned i = 0; i < r->count; i++) {
		const struct semver_comparator *c = &r->comps[i];

		fits = fits && comparator_test(c, v);
		named = named || names_prerelease_of(c, v);
		if (!c->last)
			continue;
		if (fits && named)
			return true;
		fits = true;
		named = !strict;
	}
	return false;
}

void semver_range_format(const struct semver_range *r, struct buf *out)
{
	char text[SEMVER_TEXT_MAX];

	for (unsigned i = 0; i < r->count; i++) {
		const struct semver_comparator *c = &r->comps[i];

		if (c->op != OP_ANY) {
			buf_addstr(out, op_text[c->op]);
			buf_add(out, text, semver_format(&c->v, text));
		}
		if (i + 1 < r->count)
			buf_addstr(out, c->last ? "||" : " ");
	}
}

/* One comparator as a range of its own. */
static bool accepts(const struct semver_comparator *c, const struct semver *v, unsigned flags)
{
	if (v->pre.len > 0 && !(flags & SEMVER_PRERELEASE) && !names_prerelease_of(c, v))
		return false;
	return comparator_test(c, v);
}

static bool admits_nothing(const struct semver_comparator *c, unsigned flags)
{
	if (flags & SEMVER_PRERELEASE)
		return is_null(c);
	return c->op == OP_LT && c->v.major == 0 && c->v.minor == 0 && c->v.patch == 0;
}

static bool comparators_meet(const struct semver_comparator *c, const struct semver_comparator *d,
			     unsigned flags)
{
	bool c_up = c->op == OP_GT || c->op == OP_GE, d_up = d->op == OP_GT || d->op == OP_GE;
	int r;

	if (c->op == OP_ANY)
		return true;
	if (c->op == OP_EQ)
		return accepts(d, &c->v, flags);
	if (d->op == OP_ANY)
		return true;
	if (d->op == OP_EQ)
		return accepts(c, &d->v, flags);
	if (admits_nothing(c, flags) || admits_nothing(d, flags))
		return false;
	if (c_up == d_up)
		return true;
	if ((c->op == OP_GE || c->op == OP_LE) && (d->op == OP_GE || d->op == OP_LE) &&
	    version_same(&c->v, &d->v))
		return true;
	r = semver_cmp(&c->v, &d->v);
	return c_up ? r < 0 : r > 0;
}

static const struct semver_comparator *set_end(const struct semver_comparator *c)
{
	while (!c->last)
		c++;
	return c + 1;
}

/* Every comparator with every later one, asked from the later one as npm does. */
static bool satisfiable(const struct semver_comparator *set, unsigned flags)
{
	const struct semver_comparator *end = set_end(set);

	for (const struct semver_comparator *c = end - 1; c > set; c--) {
		for (const struct semver_comparator *d = set; d < c; d++) {
			if (!comparators_meet(c, d, flags))
				return false;
		}
	}
	return true;
}

static bool sets_meet(const struct semver_comparator *a, const struct semver_comparator *b,
		      unsigned flags)
{
	for (const struct semver_comparator *c = a; c < set_end(a); c++) {
		for (const struct semver_comparator *d = b; d < set_end(b); d++) {
			if (!comparators_meet(c, d, flags))
				return false;
		}
	}
	return true;
}

bool semver_range_intersects(const struct semver_range *a, const struct semver_range *b)
{
	const struct semver_comparator *a_end = a->comps + a->count, *b_end = b->comps + b->count;

	for (const struct semver_comparator *s = a->comps; s < a_end; s = set_end(s)) {
		if (!satisfiable(s, a->flags))
			continue;
		for (const struct semver_comparator *t = b->comps; t < b_end; t = set_end(t)) {
			if (satisfiable(t, a->flags) && sets_meet(s, t, a->flags))
				return true;
		}
	}
	return false;
}

int semver_satisfies(struct slice version, struct slice range, unsigned flags)
{
	auto_range struct semver_range r = { 0 };
	struct semver v;

	if (semver_parse(&v, version, flags) < 0 || semver_range_parse(&r, range, flags) < 0)
		return 0;
	return semver_range_test(&r, &v);
}
