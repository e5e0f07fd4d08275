#include "core/arena.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

Test(arena, gives_zeroed_aligned_memory_that_stays_put)
{
	auto_arena struct arena a = ARENA_INIT(1 << 20);
	char *first = arena_strdup(&a, "first");

	for (int i = 0; i < 1000; i++) {
		uint64_t *p = arena_array(&a, 7, sizeof *p);

		cr_assert(p && (uintptr_t)p % _Alignof(max_align_t) == 0);
		cr_assert_eq(p[6], 0);
	}
	cr_assert_str_eq(first, "first");
	cr_assert_str_eq(arena_printf(&a, "%s-%d", "x", 12), "x-12");
}

Test(arena, stops_at_its_limit)
{
	auto_arena struct arena a = ARENA_INIT(100);

	cr_assert(arena_alloc(&a, 101) == NULL);
	cr_assert_eq(arena_error(&a), -E2BIG);
	cr_assert(arena_alloc(&a, 1) == NULL);
}

Test(arena, refuses_a_product_that_overflows)
{
	auto_arena struct arena a = ARENA_INIT(SIZE_MAX);

	cr_assert(arena_array(&a, SIZE_MAX / 2, 4) == NULL);
	cr_assert_eq(arena_error(&a), -E2BIG);
}
