#include "tests/registryd/fault.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum kind {
	DELAY,
	RATE,
	STATUS,
	CUT,
	FLIP,
	GARBAGE,
	REDIRECT,
	AUTH,
	HANG,
	RESET,
	TYPE,
	CHAOS,
	KINDS
};
static const char *const kind_names[KINDS] = { "delay", "rate",    "status",   "cut",
					       "flip",  "garbage", "redirect", "auth",
					       "hang",  "reset",   "type",     "chaos" };

#define CHAOS_PATHS 65536u

struct fault {
	struct fault *next;
	enum kind kind;
	long count, skip; /* count < 0: always */
	unsigned ms, bps, code, bytes, percent, seed;
	int retry_after; /* -1: none */
	uint8_t *asked;  /* of chaos: how often, by the path's hash; owned */
	char match[128], to[256], value[256], body[256];
};

struct faults {
	pthread_mutex_t mu;
	pthread_cond_t cleared;
	struct fault *first, **last; /* guarded by mu */
	unsigned generation;         /* guarded by mu */
};

struct faults *faults_new(void)
{
	struct faults *f = calloc(1, sizeof *f);
	pthread_condattr_t a;

	if (!f)
		return NULL;
	f->last = &f->first;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&f->mu, NULL);
	pthread_cond_init(&f->cleared, &a);
	pthread_condattr_destroy(&a);
	return f;
}

void faults_clear(struct faults *f)
{
	pthread_mutex_lock(&f->mu);
	while (f->first) {
		struct fault *next = f->first->next;

		free(f->first->asked);
		free(f->first);
		f->first = next;
	}
	f->last = &f->first;
	f->generation++;
	pthread_cond_broadcast(&f->cleared);
	pthread_mutex_unlock(&f->mu);
}

void faults_free(struct faults *f)
{
	if (!f)
		return;
	faults_clear(f);
	pthread_mutex_destroy(&f->mu);
	pthread_cond_destroy(&f->cleared);
	free(f);
}

static int set_text(char *to, size_t cap, const char *value, struct err *e)
{
	if (strlen(value) >= cap)
		return err_set(e, -EINVAL, "value too long: %s", value);
	strcpy(to, value);
	return 0;
}

static int set_kind(struct fault *f, const char *value, struct err *e)
{
	for (int i = 0; i < KINDS; i++)
		if (strcmp(value, kind_names[i]) == 0) {
			f->kind = (enum kind)i;
			return 0;
		}
	return err_set(e, -EINVAL, "unknown kind of fault: %s", value);
}

static int set_key(struct fault *f, const char *key, const char *value, struct err *e)
{
	unsigned n = (unsigned)strtoul(value, NULL, 10);

	if (strcmp(key, "kind") == 0)
		return set_kind(f, value, e);
	if (strcmp(key, "match") == 0)
		return set_text(f->match, sizeof f->match, value, e);
	if (strcmp(key, "to") == 0)
		return set_text(f->to, sizeof f->to, value, e);
	if (strcmp(key, "value") == 0)
		return set_text(f->value, sizeof f->value, value, e);
	if (strcmp(key, "body") == 0)
		return set_text(f->body, sizeof f->body, value, e);
	if (strcmp(key, "count") == 0)
		f->count = (long)n;
	else if (strcmp(key, "skip") == 0)
		f->skip = (long)n;
	else if (strcmp(key, "ms") == 0)
		f->ms = n;
	else if (strcmp(key, "bps") == 0)
		f->bps = n;
	else if (strcmp(key, "code") == 0)
		f->code = n;
	else if (strcmp(key, "bytes") == 0)
		f->bytes = n;
	else if (strcmp(key, "percent") == 0)
		f->percent = n;
	else if (strcmp(key, "seed") == 0)
		f->seed = n;
	else if (strcmp(key, "retry_after") == 0)
		f->retry_after = (int)n;
	else
		return err_set(e, -EINVAL, "unknown key: %s", key);
	return 0;
}

int faults_add(struct faults *f, const char *const *keys, const char *const *values, unsigned n,
	       struct err *e)
{
	auto_free struct fault *new = calloc(1, sizeof *new);

	if (!new)
		return -ENOMEM;
	*new = (struct fault){ .kind = KINDS,
			       .count = -1,
			       .retry_after = -1,
			       .code = 500,
			       .bytes = 64,
			       .percent = 5,
			       .to = "same" };
	for (unsigned i = 0; i < n; i++) {
		int r = set_key(new, keys[i], values[i] ? values[i] : "", e);

		if (r < 0)
			return r;
	}
	if (new->kind == KINDS)
		return err_set(e, -EINVAL, "a fault needs a kind");
	if (new->kind == CHAOS && !(new->asked = calloc(CHAOS_PATHS, 1)))
		return -ENOMEM;
	pthread_mutex_lock(&f->mu);
	*f->last = new;
	f->last = &new->next;
	(void)take(&new);
	pthread_mutex_unlock(&f->mu);
	return 0;
}

int faults_add_text(struct faults *f, const char *text, struct err *e)
{
	auto_free char *copy = strdup(text);
	const char *keys[16], *values[16];
	char *save = NULL;
	unsigned n = 0;

	for (char *p = copy ? strtok_r(copy, ",", &save) : NULL; p && n < ARRAY_LEN(keys);
	     p = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(p, '=');

		if (!eq)
			return err_set(e, -EINVAL, "key=value expected: %s", p);
		*eq = 0;
		keys[n] = p;
		values[n++] = eq + 1;
	}
	return faults_add(f, keys, values, n, e);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static void apply_chaos(const struct fault *f, const char *path, struct effects *ret)
{
	uint64_t h = mix(1, f->seed);

	for (const char *p = path; *p; p++)
		h = mix(h, (unsigned char)*p);
	h = mix(h, ++f->asked[h % CHAOS_PATHS]);
	h = mix(h, h >> 32);
	if (h % 100 >= f->percent)
		return;
	switch (h / 100 % 6) {
	case 0:
	case 1:
		ret->status = h / 100 % 6 ? 429 : 500;
		ret->has_retry_after = ret->status == 429;
		break;
	case 2:
		ret->cut = true;
		ret->cut_at = h / 600 % 512;
		break;
	case 3:
		ret->flip = true;
		break;
	case 4:
		ret->reset = true;
		break;
	default:
		ret->hang = true;
		break;
	}
}

static void apply_one(const struct fault *f, const char *path, struct effects *ret)
{
	switch (f->kind) {
	case CHAOS:
		apply_chaos(f, path, ret);
		break;
	case DELAY:
		ret->delay_ms += f->ms;
		break;
	case RATE:
		ret->rate_bps = f->bps;
		break;
	case STATUS:
		if (ret->status == 0) {
			ret->status = f->code;
			ret->has_retry_after = f->retry_after >= 0;
			ret->retry_after = (unsigned)f->retry_after;
		}
		break;
	case CUT:
		ret->cut = true;
		ret->cut_at = f->bytes;
		break;
	case FLIP:
		ret->flip = true;
		break;
	case GARBAGE:
		ret->garbage = f->bytes;
		break;
	case REDIRECT:
		strcpy(ret->redirect, f->to);
		break;
	case AUTH:
		ret->status = ret->status ? ret->status : 401;
		break;
	case HANG:
		ret->hang = true;
		break;
	case RESET:
		ret->reset = true;
		break;
	case TYPE:
		(void)snprintf(ret->body_type, sizeof ret->body_type, "%.63s", f->value);
		strcpy(ret->body, f->body);
		break;
	case KINDS:
		break;
	}
}

void faults_apply(struct faults *fs, const char *path, const char *auth, struct effects *ret)
{
	memset(ret, 0, sizeof *ret);
	pthread_mutex_lock(&fs->mu);
	ret->generation = fs->generation;
	for (struct fault *f = fs->first; f; f = f->next) {
		if (f->count == 0 || !strstr(path, f->match))
			continue;
		if (f->kind == AUTH && auth && strcmp(auth, f->value) == 0)
			continue;
		if (f->skip > 0) {
			f->skip--;
			continue;
		}
		if (f->count > 0)
			f->count--;
		apply_one(f, path, ret);
	}
	pthread_mutex_unlock(&fs->mu);
}

void faults_wait(struct faults *f, unsigned generation, unsigned ms)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&f->mu);
	while (r == 0 && generation == f->generation)
		r = ms ? pthread_cond_timedwait(&f->cleared, &f->mu, &until)
		       : pthread_cond_wait(&f->cleared, &f->mu);
	pthread_mutex_unlock(&f->mu);
}
