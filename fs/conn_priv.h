/* conn_priv.h - between conn.c and conn_mount.c. */
#pragma once
#include "fs/conn.h"

/* The two hooks of a session's reading and writing. */
const struct fuse_custom_io *conn_io(void);
