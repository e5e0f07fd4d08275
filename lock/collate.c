#include "lock/collate.h"

/* The primary weight of each ASCII character; 0 is one that does not count. 16 a line. */
static const uint8_t weights[128] = {
	/* clang-format off */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	6, 12, 16, 28, 38, 29, 27, 15, 17, 18, 24, 32, 9, 8, 14, 25,
	39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 11, 10, 33, 34, 35, 13,
	23, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
	64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 19, 26, 20, 31, 7,
	30, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
	64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 21, 36, 22, 37, 0,
	/* clang-format on */
};

/* Letters that differ only in case have the same weight. UTF-8's bytes order as its code points. */
static unsigned weight(uint8_t c)
{
	return c < 0x80 ? weights[c] : c;
}

static bool is_upper(uint8_t c)
{
	return c >= 'A' && c <= 'Z';
}

static void skip_ignored(struct slice *s)
{
	while (s->len > 0 && weight(*s->ptr) == 0) {
		s->ptr++;
		s->len--;
	}
}

int collate(struct slice a, struct slice b)
{
	int by_case = 0;

	for (;;) {
		skip_ignored(&a);
		skip_ignored(&b);
		if (a.len == 0 || b.len == 0)
			break;
		if (weight(*a.ptr) != weight(*b.ptr))
			return weight(*a.ptr) < weight(*b.ptr) ? -1 : 1;
		if (by_case == 0)
			by_case = is_upper(*a.ptr) - is_upper(*b.ptr);
		a = (struct slice){ a.ptr + 1, a.len - 1 };
		b = (struct slice){ b.ptr + 1, b.len - 1 };
	}
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return by_case;
}
