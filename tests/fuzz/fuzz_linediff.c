/* "old, zero byte, new": the hunks make the new text of the old one. */
#include "core/linediff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice line_of(struct slice *s)
{
	const uint8_t *nl = s->len ? memchr(s->ptr, '\n', s->len) : NULL;
	struct slice line = { s->ptr, nl ? (size_t)(nl - s->ptr) + 1 : s->len };

	s->ptr += line.len;
	s->len -= line.len;
	return line;
}

/* The next line of a hunk without its sign, and without its newline if the text has none. */
static struct slice hunk_line(struct slice *hunks)
{
	static const char mark[] = "\\ No newline at end of file\n";
	struct slice line = line_of(hunks);

	line.ptr++;
	line.len--;
	if (hunks->len >= sizeof mark - 1 && memcmp(hunks->ptr, mark, sizeof mark - 1) == 0) {
		(void)line_of(hunks);
		line.len--;
	}
	return line;
}

static void apply(struct buf *out, struct slice old, struct slice hunks)
{
	size_t done = 0;

	while (hunks.len) {
		struct slice head = line_of(&hunks);
		char text[64] = "", *comma;
		size_t start, n = head.len < sizeof text - 1 ? head.len : sizeof text - 1;

		memcpy(text, head.ptr, n);
		if (strncmp(text, "@@ -", 4) != 0)
			abort();
		start = strtoul(text + 4, &comma, 10);
		if (strncmp(comma, ",0 ", 3) != 0)
			start--;
		for (; done < start; done++) {
			struct slice line = line_of(&old);

			buf_add(out, line.ptr, line.len);
		}
		while (hunks.len && *hunks.ptr != '@') {
			uint8_t sign = *hunks.ptr;
			struct slice line = hunk_line(&hunks);

			if (sign != '+') {
				if (!slice_eq(line_of(&old), line))
					abort();
				done++;
			}
			if (sign != '-')
				buf_add(out, line.ptr, line.len);
		}
	}
	buf_add(out, old.ptr, old.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf struct buf hunks = BUF_INIT((size_t)64 << 20);
	auto_buf struct buf back = BUF_INIT((size_t)64 << 20);
	const uint8_t *zero = size ? memchr(data, '\0', size) : NULL;
	struct slice old = { data, zero ? (size_t)(zero - data) : size };
	struct slice fresh = { data + old.len + (zero != NULL), size - old.len - (zero != NULL) };

	if (linediff(&hunks, old, fresh) < 0)
		abort();
	if ((hunks.len == 0) != slice_eq(old, fresh))
		abort();
	apply(&back, old, (struct slice){ hunks.data, hunks.len });
	if (!slice_eq((struct slice){ back.data, back.len }, fresh))
		abort();
	return 0;
}
