#include "lock/solver.h"

#include "core/clock.h"

#include <ccadical.h>

struct solver {
	CCaDiCaL *c;
	int vars;
	size_t literals;
	int64_t deadline;
};

static int is_over(void *arg)
{
	const struct solver *s = arg;

	return s->deadline && now_ms() > s->deadline;
}

struct solver *solver_new(void)
{
	struct solver *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->c = ccadical_init();
	if (!s->c) {
		free(s);
		return NULL;
	}
	ccadical_set_option(s->c, "quiet", 1);
	/* What nothing asks for is left out. */
	ccadical_set_option(s->c, "phase", 0);
	ccadical_set_terminate(s->c, s, is_over);
	return s;
}

void solver_free(struct solver *s)
{
	if (!s)
		return;
	ccadical_release(s->c);
	free(s);
}

void solver_deadline(struct solver *s, int64_t at_ms)
{
	s->deadline = at_ms;
}

int solver_error(const struct solver *s)
{
	return s->literals > SOLVER_LITERALS_MAX ? -E2BIG : 0;
}

int solver_var(struct solver *s)
{
	s->literals++;
	return ++s->vars;
}

void solver_clause(struct solver *s, const int *lits, size_t count)
{
	s->literals += count + 1;
	if (solver_error(s) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		ccadical_add(s->c, lits[i]);
	ccadical_add(s->c, 0);
}

void solver_say(struct solver *s, int a, int b, int c, int d)
{
	const int all[] = { a, b, c, d };
	int lits[4];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i])
			lits[n++] = all[i];
	}
	solver_clause(s, lits, n);
}

/* In pairs where they are few; else each says whether one before it was true. */
void solver_one(struct solver *s, const int *lits, size_t count)
{
	int before;

	if (count <= 5) {
		for (size_t i = 0; i < count; i++) {
			for (size_t k = i + 1; k < count; k++)
				solver_say(s, -lits[i], -lits[k], 0, 0);
		}
		return;
	}
	before = lits[0];
	for (size_t i = 1; i < count; i++) {
		int now = i + 1 < count ? solver_var(s) : 0;

		solver_say(s, -before, -lits[i], 0, 0);
		if (now) {
			solver_say(s, -before, now, 0, 0);
			solver_say(s, -lits[i], now, 0, 0);
		}
		before = now;
	}
}

void solver_assume(struct solver *s, int lit)
{
	ccadical_assume(s->c, lit);
}

void solver_assume_any(struct solver *s, const int *lits, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ccadical_constrain(s->c, lits[i]);
	ccadical_constrain(s->c, 0);
}

enum solver_answer solver_ask(struct solver *s, unsigned conflicts)
{
	if (solver_error(s) < 0 || is_over(s))
		return SOLVER_UNKNOWN;
	ccadical_limit(s->c, "conflicts", conflicts ? (int)conflicts : -1);
	return (enum solver_answer)ccadical_solve(s->c);
}

bool solver_is(const struct solver *s, int lit)
{
	return ccadical_val(s->c, lit) == lit;
}

bool solver_blames(const struct solver *s, int lit)
{
	return ccadical_failed(s->c, lit);
}
