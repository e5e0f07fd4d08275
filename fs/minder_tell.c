/* Telling the kernel what changed. */
#include "core/log.h"
#include "fs/server_priv.h"

#include <search.h>

static struct conn *conn_of(struct server *s, uint64_t root)
{
	for (unsigned i = 0; i < s->mount_count; i++)
		if (s->mounts[i].conn.session && s->mounts[i].conn.root_ino == root)
			return &s->mounts[i].conn;
	return NULL;
}

/* -ENOENT is success: the kernel did not know it. */
static void tell_now(struct server *s, uint64_t root, uint64_t dir, const char *name,
		     size_t name_len)
{
	struct conn *c = conn_of(s, root);
	uint64_t ino;
	int r;

	if (!c)
		return;
	ino = ops_to_kernel(c, dir);
	r = name ? fuse_lowlevel_notify_inval_entry(c->session, ino, name, name_len)
		 : fuse_lowlevel_notify_inval_inode(c->session, ino, 0, 0);
	if (r < 0 && r != -ENOENT && r != -ENOTCONN && r != -ENODEV)
		log_debug("the kernel did not take back %.*s: %s", (int)name_len, name ? name : "",
			  strerror(-r));
}

/* ---- what may have to wait ---- */

/* A name in a directory where a look-up may be waiting for a package: the kernel takes it back when
 * that has ended, and whoever tells it waits for that. */
struct late {
	struct late *next;
	uint64_t root, dir;
	size_t name_len;
	char name[];
};

static int late_cmp(const void *a, const void *b)
{
	const struct late *l = a, *m = b;

	if (l->dir != m->dir)
		return l->dir < m->dir ? -1 : 1;
	if (l->name_len != m->name_len)
		return l->name_len < m->name_len ? -1 : 1;
	return memcmp(l->name, m->name, l->name_len);
}

/* With s->mu held. 1: it is the list's now; 0: it waits there already; -ENOMEM. */
static int add_late(struct server *s, struct late *l)
{
	struct late **known = tsearch(l, &s->late_names, late_cmp);

	if (!known)
		return -ENOMEM;
	if (*known != l)
		return 0;
	*(s->late ? &s->late_last->next : &s->late) = l;
	s->late_last = l;
	return 1;
}

/* With s->mu held. NULL: there is none. */
static struct late *take_late(struct server *s)
{
	struct late *l = s->late;

	if (!l)
		return NULL;
	s->late = l->next;
	(void)tdelete(l, &s->late_names, late_cmp);
	return l;
}

static struct late *next_late(struct server *s)
{
	struct late *l;

	(void)pthread_mutex_lock(&s->mu);
	while (!s->late && !s->stop && helper_wait(&s->late_news, &s->mu))
		;
	l = take_late(s);
	s->late_teller.here = l != NULL;
	(void)pthread_mutex_unlock(&s->mu);
	return l;
}

static void *tell_late(void *arg)
{
	struct server *s = arg;
	struct late *l;

	while ((l = next_late(s))) {
		tell_now(s, l->root, l->dir, l->name, l->name_len);
		free(l);
	}
	return NULL;
}

static void leave_late(struct server *s, uint64_t root, uint64_t dir, const char *name,
		       size_t name_len)
{
	struct late *l = malloc(sizeof *l + name_len);
	struct err e = { 0 };
	int r = l ? 0 : -ENOMEM;

	if (l) {
		*l = (struct late){ .root = root, .dir = dir, .name_len = name_len };
		memcpy(l->name, name, name_len);
	}
	(void)pthread_mutex_lock(&s->mu);
	if (l)
		r = add_late(s, l);
	if (r == 1)
		l = NULL;
	if (r < 0)
		(void)err_set(&e, r, "out of memory");
	else if (s->begun && !s->stop)
		r = helper_call(&s->late_teller, &s->late_news, tell_late, s, &e);
	(void)pthread_mutex_unlock(&s->mu);
	free(l);
	if (r < 0)
		log_warn("%.*s may be shown as it was: %s", (int)name_len, name, e.msg);
}

void minder_late_stop(struct server *s)
{
	helper_join(&s->late_teller);
	for (struct late *l; (l = take_late(s));)
		free(l);
}

/* ---- names ---- */

void minder_tell(void *arg, uint64_t root, uint64_t dir, const char *name, size_t name_len)
{
	struct server *s = arg;

	push_changed(s->push);
	if (name && place_may_wait(places_get(s->places, view_ino_slot(dir))))
		leave_late(s, root, dir, name, name_len);
	else
		tell_now(s, root, dir, name, name_len);
}

/* What goes away for good has its watchers told; all else the kernel asks for again. */
struct teller {
	struct server *s;
	struct view *old, *fresh;
};

/* What a name was that is not there any more; NULL. */
static struct place *gone(const struct teller *t, uint64_t dir, struct slice name)
{
	struct view_attr was, now;
	struct parcel *wait;

	if (view_is_past(t->fresh, dir) || view_lookup(t->old, dir, name, &was, &wait, NULL) != 0 ||
	    view_ino_entry(was.ino) ||
	    view_lookup(t->fresh, dir, name, &now, &wait, NULL) != -ENOENT)
		return NULL;
	return (struct place *)places_get(t->s->places, view_ino_slot(was.ino));
}

/* The kernel deletes with both directories locked, that of the name and what it names, so nothing
 * may be waiting in either: nobody could look up anything beside it meanwhile. */
static void tell_gone(const struct teller *t, struct conn *c, uint64_t dir, const char *name,
		      size_t name_len)
{
	struct place *was = gone(t, dir, (struct slice){ (const uint8_t *)name, name_len });

	if (!was || place_may_wait(was) ||
	    place_may_wait(places_get(t->s->places, view_ino_slot(dir))))
		return;
	if (fuse_lowlevel_notify_delete(c->session, ops_to_kernel(c, dir),
					ops_to_kernel(c, view_ino(was->slot, 0)), name,
					name_len) == 0)
		(void)atomic_fetch_add(&was->deaths, 1);
}

static void tell_change(void *arg, uint64_t root, uint64_t dir, const char *name, size_t name_len)
{
	struct teller *t = arg;
	struct conn *c = conn_of(t->s, root);

	if (c && name)
		tell_gone(t, c, dir, name, name_len);
	minder_tell(t->s, root, dir, name, name_len);
}

void minder_tell_changes(struct server *s, struct view *old, struct view *fresh)
{
	view_changes(old, fresh, tell_change,
		     &(struct teller){ .s = s, .old = old, .fresh = fresh });
}
