#include "fs/crew.h"

#include "core/thread.h"

#include <pthread.h>

#define CREW_MAX 8

struct crew {
	pthread_mutex_t mu;
	pthread_cond_t news;
	pthread_t threads[CREW_MAX];
	unsigned count;
	/* guarded by mu */
	struct job *first, **end;
	bool stop;
};

struct crew *crew_new(void)
{
	struct crew *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	(void)pthread_mutex_init(&c->mu, NULL);
	(void)pthread_cond_init(&c->news, NULL);
	c->end = &c->first;
	return c;
}

static void *work(void *arg)
{
	struct crew *c = arg;

	for (;;) {
		struct job *j;

		(void)pthread_mutex_lock(&c->mu);
		while (!c->first && !c->stop)
			(void)pthread_cond_wait(&c->news, &c->mu);
		j = c->first;
		if (j) {
			c->first = j->next;
			if (!c->first)
				c->end = &c->first;
		}
		(void)pthread_mutex_unlock(&c->mu);
		if (!j)
			return NULL;
		j->run(j);
	}
}

int crew_start(struct crew *c, unsigned threads, struct err *e)
{
	int r = 0;

	while (r == 0 && c->count < threads && c->count < CREW_MAX) {
		r = thread_start(&c->threads[c->count], work, c, e);
		c->count += r == 0;
	}
	return r;
}

void crew_do(struct crew *c, struct job *j)
{
	j->next = NULL;
	(void)pthread_mutex_lock(&c->mu);
	*c->end = j;
	c->end = &j->next;
	(void)pthread_cond_signal(&c->news);
	(void)pthread_mutex_unlock(&c->mu);
}

void crew_stop(struct crew *c)
{
	(void)pthread_mutex_lock(&c->mu);
	c->stop = true;
	(void)pthread_cond_broadcast(&c->news);
	(void)pthread_mutex_unlock(&c->mu);
	for (unsigned i = 0; i < c->count; i++)
		(void)pthread_join(c->threads[i], NULL);
	c->count = 0;
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	(void)pthread_cond_destroy(&c->news);
	(void)pthread_mutex_destroy(&c->mu);
	free(c);
}
