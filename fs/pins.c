#include "fs/pins.h"

#include "core/arena.h"
#include "core/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

#define LINE_MAX_LEN (2 * DIGEST_TEXT_MAX + 2)

struct pin {
	struct pin *next;
	char key[DIGEST_TEXT_MAX], sha512[DIGEST_TEXT_MAX];
};

struct pins {
	char *path; /* owned */
	pthread_mutex_t mu;
	/* guarded by mu */
	struct arena arena;
	struct pin *list; /* few: real locks have integrity */
};

static struct pin *add(struct pins *p, const char *key, const char *sha512)
{
	struct pin *pin = arena_alloc(&p->arena, sizeof *pin);

	if (!pin)
		return NULL;
	(void)snprintf(pin->key, sizeof pin->key, "%s", key);
	(void)snprintf(pin->sha512, sizeof pin->sha512, "%s", sha512);
	pin->next = p->list;
	p->list = pin;
	return pin;
}

static void read_lines(struct pins *p, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(line, ' ');

		if (!space || strncmp(line, "unpinned-", 9) != 0 ||
		    strncmp(space + 1, "sha512-", 7) != 0)
			continue;
		*space = '\0';
		if (strlen(line) < DIGEST_TEXT_MAX && strlen(space + 1) < DIGEST_TEXT_MAX)
			(void)!add(p, line, space + 1);
	}
}

int pins_open(struct pins **ret, const char *state_dir, struct err *e)
{
	struct pins *p = calloc(1, sizeof *p);
	auto_free char *text = NULL;
	size_t len = 0;
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->arena = (struct arena)ARENA_INIT(2 * PINS_SIZE_MAX);
	(void)pthread_mutex_init(&p->mu, NULL);
	if (asprintf(&p->path, "%s/pins", state_dir) < 0) {
		p->path = NULL;
		pins_close(p);
		return err_set(e, -ENOMEM, "out of memory");
	}
	r = file_read_all(AT_FDCWD, p->path, PINS_SIZE_MAX, &text, &len, e);
	if (r < 0 && r != -ENOENT) {
		pins_close(p);
		return r;
	}
	if (r == 0)
		read_lines(p, text);
	*ret = p;
	return 0;
}

void pins_close(struct pins *p)
{
	if (!p)
		return;
	arena_release(&p->arena);
	(void)pthread_mutex_destroy(&p->mu);
	free(p->path);
	free(p);
}

/* One line is one write, so daemons of two mounts that share a state never mix theirs. */
static int keep(struct pins *p, const char *key, const char *sha512, struct err *e)
{
	auto_close int fd =
		open(p->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char line[LINE_MAX_LEN + 1];
	int n = snprintf(line, sizeof line, "%s %s\n", key, sha512);
	int r = fd < 0 ? -errno : file_write_all(fd, line, (size_t)n);

	if (r < 0)
		return err_set(e, r, "%s cannot be written: %s", p->path, strerror(-r));
	return add(p, key, sha512) ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int pins_check(struct pins *p, const struct digest *key, const struct digest *sha512, struct err *e)
{
	char key_text[DIGEST_TEXT_MAX], text[DIGEST_TEXT_MAX];
	const struct pin *pin;
	int r = 0;

	digest_format(key, key_text);
	digest_format(sha512, text);
	(void)pthread_mutex_lock(&p->mu);
	for (pin = p->list; pin && strcmp(pin->key, key_text) != 0; pin = pin->next)
		continue;
	if (!pin)
		r = keep(p, key_text, text, e);
	else if (strcmp(pin->sha512, text) != 0)
		r = err_set(e, -EKEYREJECTED,
			    "it is not what this project was given before (the lock has no "
			    "integrity for it); "
			    "if it may have changed, unmount and delete %.80s",
			    p->path);
	(void)pthread_mutex_unlock(&p->mu);
	return r;
}
