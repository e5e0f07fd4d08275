#include "fs/crew.h"

#include "core/thread.h"

#include <pthread.h>

#define CREW_MAX 8

struct member {
	struct crew *crew;
	struct helper helper;
};

struct crew {
	pthread_mutex_t mu;
	pthread_cond_t news;
	struct member members[CREW_MAX];
	/* guarded by mu */
	struct job *first, **end;
	unsigned count;        /* of members that may come */
	unsigned queued, idle; /* jobs; members that wait for one */
	bool stop;
};

struct crew *crew_new(void)
{
	struct crew *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	(void)pthread_mutex_init(&c->mu, NULL);
	helper_cond(&c->news);
	c->end = &c->first;
	return c;
}

/* With the mutex held. */
static struct job *next_job(struct crew *c)
{
	struct job *j = c->first;

	if (j) {
		c->first = j->next;
		c->queued--;
		if (!c->first)
			c->end = &c->first;
	}
	return j;
}

static void *work(void *arg)
{
	struct member *m = arg;
	struct crew *c = m->crew;

	for (;;) {
		struct job *j;

		(void)pthread_mutex_lock(&c->mu);
		c->idle++;
		while (!c->first && !c->stop && helper_wait(&c->news, &c->mu))
			;
		c->idle--;
		j = next_job(c);
		m->helper.here = j != NULL;
		(void)pthread_mutex_unlock(&c->mu);
		if (!j)
			return NULL;
		j->run(j);
	}
}

/* Somebody for what is queued; with the mutex held. False: nobody is there, nor can be had. */
static bool call_members(struct crew *c)
{
	bool any = c->count == 0; /* they come with crew_start() */

	if (c->idle)
		(void)pthread_cond_signal(&c->news);
	for (unsigned i = 0; i < c->count; i++) {
		struct helper *h = &c->members[i].helper;

		if (!h->here && c->queued > c->idle)
			(void)!helper_call(h, &c->news, work, &c->members[i], NULL);
		any |= h->here;
	}
	return any;
}

void crew_start(struct crew *c, unsigned threads)
{
	(void)pthread_mutex_lock(&c->mu);
	while (c->count < threads && c->count < CREW_MAX)
		c->members[c->count++].crew = c;
	if (c->first)
		(void)call_members(c);
	(void)pthread_mutex_unlock(&c->mu);
}

void crew_do(struct crew *c, struct job *j)
{
	struct job *left = NULL;

	j->next = NULL;
	(void)pthread_mutex_lock(&c->mu);
	*c->end = j;
	c->end = &j->next;
	c->queued++;
	/* Better on the wrong thread than never. */
	if (!call_members(c))
		left = next_job(c);
	(void)pthread_mutex_unlock(&c->mu);
	if (left)
		left->run(left);
}

void crew_stop(struct crew *c)
{
	(void)pthread_mutex_lock(&c->mu);
	c->stop = true;
	(void)pthread_cond_broadcast(&c->news);
	(void)pthread_mutex_unlock(&c->mu);
	for (unsigned i = 0; i < c->count; i++)
		helper_join(&c->members[i].helper);
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
