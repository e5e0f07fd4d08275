/* solver.h - a SAT solver (CaDiCaL) that can be asked again and again, with limits.
 *
 * A literal is a variable's number from 1, or its negative. Clauses stay; what is assumed holds for
 * the next question alone. CaDiCaL ends the program when memory is out, so what it is given is
 * limited here: past the limit it answers SOLVER_UNKNOWN and solver_error() is -E2BIG. */
#pragma once
#include "core/base.h"

#define SOLVER_LITERALS_MAX 40000000u /* of all clauses; some 600 MB */

enum solver_answer { SOLVER_UNKNOWN = 0, SOLVER_YES = 10, SOLVER_NO = 20 };

struct solver;
struct solver *solver_new(void) must_check; /* NULL: out of memory */
void solver_free(struct solver *s);         /* NULL is fine */
static inline void solver_freep(struct solver **s)
{
	solver_free(*s);
}
#define auto_solver cleanup(solver_freep)

/* Past this moment (clock.h) every answer is SOLVER_UNKNOWN; 0: never. */
void solver_deadline(struct solver *s, int64_t at_ms);
int solver_error(const struct solver *s) must_check;

int solver_var(struct solver *s);
void solver_clause(struct solver *s, const int *lits, size_t count);
/* A clause of up to four literals; 0 is none. */
void solver_say(struct solver *s, int a, int b, int c, int d);
/* At most one of them. */
void solver_one(struct solver *s, const int *lits, size_t count);

void solver_assume(struct solver *s, int lit);
/* A clause for the next question alone; one a question. */
void solver_assume_any(struct solver *s, const int *lits, size_t count);
/* `conflicts`: how hard to try, 0 for as hard as it takes. */
enum solver_answer solver_ask(struct solver *s, unsigned conflicts);
bool solver_is(const struct solver *s, int lit);     /* after SOLVER_YES */
bool solver_blames(const struct solver *s, int lit); /* after SOLVER_NO: of what was assumed */
