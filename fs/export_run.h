/* export_run.h - a project's tree as real files: `dx export`, and `dxfs mount` where it cannot
 * mount. Reads settings and lock as a mount does, fetches what is missing (progress on stderr, if
 * that is a terminal), and writes (fs/export.h). */
#pragma once
#include "fs/cmd_project.h"
#include "fs/export.h"

struct export_request {
	struct cmd_project_options project;
	struct store_options store;
	const char *dir; /* the folder to make; its parent must stand */
	const char *who; /* "dx export", before what is said on stderr */
	bool keep_same;  /* a folder that shows this lock already is no obstacle, and left alone */
};

/* 0; 1: it stands already (keep_same). */
int export_run(const struct export_request *q, struct export_counts *counts,
	       struct err *e) must_check;
