/* conn.h - one connection to the kernel: /dev/fuse, the mount, the counters.
 *
 * libfuse 3.14 reads and writes the device through our two hooks (fuse_session_custom_io),
 * which do three things that it does not: they count messages by opcode, they say which thread
 * waits for the next (conn_turns.h), and they add FUSE_PARALLEL_DIROPS to the answer to INIT,
 * without which all look-ups in one directory come one after another (libfuse before 3.17 never
 * sends the bit, whatever conn->want says).
 *
 * Root mounts with mount(2) on a descriptor of its own; other users through fusermount3. */
#pragma once
#include "core/err.h"
#include "fs/conn_turns.h"

#include <fuse_lowlevel.h>
#include <stdatomic.h>

#define CONN_OPCODES 64 /* what is above counts as 0; CUSE_INIT is 4096 */

struct conn {
	struct fuse_session *session;
	char *dir;           /* where it is mounted; owned, absolute */
	dev_t dev;           /* its st_dev; 0: not known */
	atomic_bool mounted; /* and not yet unmounted by us */
	bool made_dir;       /* the mount point was made by us */
	bool by_fusermount;  /* else by mount(2) */
	uint64_t root_ino;   /* what node id 1 stands for (fs/view.h) */
	struct server *server;
	struct turns turns; /* while its loop runs */
	_Atomic uint64_t messages[CONN_OPCODES];
	_Atomic uint64_t init_unique;  /* the request INIT, while it is not answered */
	_Atomic uint32_t init_offered; /* the flags that the kernel offered in it */
	_Atomic uint32_t kernel_minor; /* of its FUSE protocol 7; 0 until INIT is answered */
};

struct conn_options {
	bool read_only, allow_other;
	const struct fuse_lowlevel_ops *ops;
	size_t ops_size;
};

/* Makes the session (userdata: the conn) and mounts it on `dir`, an absolute path without symbolic
 * links (-ENOTDIR), which is made if missing. The conn must stay where it is until conn_release().
 * -ENOTEMPTY, -EBUSY: something is there;
 * -EPERM, -ENOENT (no /dev/fuse): the sentence says what to do. */
int conn_mount(struct conn *c, const char *dir, const struct conn_options *o,
	       struct err *e) must_check;

/* 0 also when it is not mounted any more. -EBUSY: in use; `lazy` detaches even so. Returns when the
 * mount has left the namespace (and its folder, if conn_mount() made it); what the kernel remembers
 * of it is dropped meanwhile by a thread that nobody waits for. */
int conn_unmount(struct conn *c, bool lazy, struct err *e) must_check;

/* Runs the loop until the mount has ended; `threads` is the most it starts. */
int conn_loop(struct conn *c, unsigned threads);

/* Destroys the session; never unmounts. Removes a mount point that conn_mount() made, if it is
 * empty and no mount any more. */
void conn_release(struct conn *c);

/* "LOOKUP"; NULL for what the protocol does not use. */
const char *conn_opcode_name(unsigned opcode);
