/* predict_priv.h - the model in memory; predict*.c only. */
#pragma once
#include "core/arena.h"
#include "fetch/predict.h"

struct name {
	const char *text;
	uint32_t seen, last, first, stray, link_count;
	uint64_t deps;
	struct predict_link *links; /* room for PREDICT_LINKS; NULL: none yet */
};

struct predict {
	struct arena arena; /* of texts and links */
	struct name *names; /* owned */
	uint32_t count, cap;
	uint32_t *table; /* ids, open addressing; PREDICT_NONE: free; owned */
	uint32_t table_size, clock;
};

/* The id of a name, which is added if it is new; -ENOMEM. */
int64_t predict_intern(struct predict *m, const char *text, size_t len);

/* May it stand in the file? */
bool predict_is_name(const char *text, size_t len);
