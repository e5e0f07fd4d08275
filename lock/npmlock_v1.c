#include "lock/npmlock_priv.h"

int npmlock_v1(struct graph *g, const cJSON *lock, const struct npmlock_options *o, struct err *e)
{
	(void)g, (void)lock, (void)o;
	return npmlock_unreadable(e, "version 1");
}
