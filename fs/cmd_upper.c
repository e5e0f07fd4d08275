#include "fs/cmd_upper.h"

#include "fs/ctl.h"
#include "lock/json.h"

#include <stdio.h>

#define STATUS_WAIT_MS 5000

static int ask_daemon(struct cmd_upper *u, struct err *e)
{
	auto_free char *text = NULL;
	auto_json cJSON *status = NULL;
	const char *upper, *store;
	int r = ctl_ask(u->state.dirfd, "status", STATUS_WAIT_MS, &text, e);

	if (r == 0)
		r = json_parse(&status, slice_str(text), e);
	if (r < 0)
		return r;
	upper = json_str(status, "upper");
	store = json_str(status, "store");
	if (!upper)
		return err_set(e, -EROFS, "%s is mounted for reading only: nothing changes there",
			       u->state.mountpoint);
	u->live = true;
	u->upper = strdup(upper);
	u->store = store ? strdup(store) : NULL;
	return u->upper ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int cmd_upper_find(struct cmd_upper *ret, const char *dir, const char *upper, struct err *e)
{
	struct cmd_upper u = CMD_UPPER_INIT;
	int r = state_open(&u.state, dir, false, e);

	if (r == -ENOENT)
		return err_set(e, r, "%s has never been mounted", dir);
	if (r == 0)
		r = state_lock(&u.state, 0, e);
	if (r == -EBUSY) {
		r = ask_daemon(&u, e);
	} else if (r == 0) {
		u.upper = upper ? strdup(upper) : state_path(&u.state, STATE_UPPER);
		if (!u.upper)
			r = err_set(e, -ENOMEM, "out of memory");
	}
	if (r == 0) {
		u.project_dir = strdup(u.state.mountpoint);
		if (u.project_dir)
			*strrchr(u.project_dir, '/') = '\0';
		else
			r = err_set(e, -ENOMEM, "out of memory");
	}
	if (r < 0)
		cmd_upper_release(&u);
	else
		*ret = u;
	return r;
}

void cmd_upper_release(struct cmd_upper *u)
{
	free(u->upper);
	free(u->store);
	free(u->project_dir);
	state_release(&u->state);
	*u = (struct cmd_upper)CMD_UPPER_INIT;
}
