#include "fs/cmd.h"
#include "fs/cmd_mount_priv.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
	"usage: dxfs mount [options] DIR\n"
	"  -f, --foreground            do not go into the background\n"
	"      --lock=FILE             use this dx.lock instead of the project's lock\n"
	"      --store=DIR             instead of $DX_STORE or the default\n"
	"      --store-behind=DIR      a store that is only read, searched after it; up to eight\n"
	"      --upper=DIR             where what is written into the mount is kept, instead of\n"
	"                              in the mount's state folder\n"
	"      --read-only             nothing can be written, nothing need be asked twice\n"
	"      --offline               ask nothing of the network\n"
	"      --prefetch=none|predicted|background|all\n"
	"      --omit=dev|optional|peer\n"
	"      --os=OS --cpu=CPU --libc=LIBC\n"
	"      --registry=URL          the default registry\n"
	"      --allow-other           let other users see the mount\n"
	"      --force                 a package for another platform is only a warning\n"
	"      --fallback=export       where nothing can be mounted: the same tree as real files\n"
	"  -v, --verbose               log what each step of mounting takes, and more\n"
	"  -o WORDS                    the options above as mount(8) gives them: "
	"ro,prefetch=none\n";

static const char short_usage[] =
	"usage: dxfs mount [options] DIR; `dxfs mount --help` lists the options\n";

static int usage_error(const char *option, const char *value, const char *what)
{
	(void)fprintf(stderr, "dxfs mount: %s%s: %s\n", option, value, what);
	return CMD_USAGE;
}

static int parse_prefetch(enum server_prefetch *ret, const char *word)
{
	static const char *const words[] = { [PREFETCH_NONE] = "none",
					     [PREFETCH_PREDICTED] = "predicted",
					     [PREFETCH_BACKGROUND] = "background",
					     [PREFETCH_ALL] = "all" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(words[i], word) == 0) {
			*ret = (enum server_prefetch)i;
			return 0;
		}
	}
	return -EINVAL;
}

static const struct option longs[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "lock", required_argument, NULL, 'l' },
	{ "store", required_argument, NULL, 's' },
	{ "store-behind", required_argument, NULL, 'b' },
	{ "upper", required_argument, NULL, 'u' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "offline", no_argument, NULL, 'o' },
	{ "prefetch", required_argument, NULL, 'p' },
	{ "omit", required_argument, NULL, 'm' },
	{ "os", required_argument, NULL, '1' },
	{ "cpu", required_argument, NULL, '2' },
	{ "libc", required_argument, NULL, '3' },
	{ "registry", required_argument, NULL, 'g' },
	{ "allow-other", no_argument, NULL, 'a' },
	{ "force", no_argument, NULL, 'F' },
	{ "fallback", required_argument, NULL, 'B' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* One option by its letter in `longs`: 0, or an exit status. */
static int set_option(struct mount_options *o, int c, const char *value)
{
	switch (c) {
	case 'f':
		o->foreground = true;
		break;
	case 'l':
		o->project.lock_file = value;
		break;
	case 's':
		o->store.dir = value;
		break;
	case 'b':
		if (o->behind_count == STORE_BEHIND_MAX)
			return usage_error("--store-behind=", value,
					   "there may be eight of them at most");
		o->behind[o->behind_count++] = value;
		break;
	case 'u':
		o->upper = value;
		break;
	case 'r':
		o->read_only = true;
		break;
	case 'o':
		o->project.offline = true;
		break;
	case 'p':
		if (parse_prefetch(&o->prefetch, value) < 0)
			return usage_error("--prefetch=", value,
					   "it is none, predicted, background or all");
		break;
	case 'm':
		if (cmd_project_omit(&o->project.omit, value) < 0)
			return usage_error("--omit=", value, "it is dev, optional or peer");
		break;
	case '1':
		o->project.os = value;
		break;
	case '2':
		o->project.cpu = value;
		break;
	case '3':
		o->project.libc = value;
		break;
	case 'g':
		o->project.registry = value;
		break;
	case 'a':
		o->allow_other = true;
		break;
	case 'F':
		o->project.force = true;
		break;
	case 'B':
		if (strcmp(value, "export") != 0)
			return usage_error("--fallback=", value, "it can only be export");
		o->fallback_export = true;
		break;
	case 'v':
		o->verbose = true;
		break;
	default:
		return CMD_USAGE;
	}
	return 0;
}

/* "-o ro,noauto,prefetch=none" as mount(8) passes it: our long options by name, the kernel's and
 * mount's own words are theirs. `list` is cut up and lent to the options. */
static int set_mount_words(struct mount_options *o, char *list)
{
	static const char *const others[] = { "rw",       "dev",      "nodev",
					      "suid",     "nosuid",   "exec",
					      "noexec",   "auto",     "noauto",
					      "user",     "nouser",   "users",
					      "owner",    "group",    "nofail",
					      "defaults", "_netdev",  "atime",
					      "noatime",  "relatime", "default_permissions" };
	char *save = NULL;

	for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		char *value = strchr(w, '=');
		bool known = strncmp(w, "x-", 2) == 0 || strncmp(w, "user=", 5) == 0;

		if (strcmp(w, "ro") == 0)
			w = (char *)"read-only";
		else if (strcmp(w, "allow_other") == 0)
			w = (char *)"allow-other";
		for (size_t i = 0; i < ARRAY_LEN(others); i++)
			known |= strcmp(others[i], w) == 0;
		if (known)
			continue;
		if (value)
			*value++ = '\0';
		for (const struct option *l = longs; l->name; l++) {
			if (strcmp(l->name, w) != 0 || (l->has_arg == required_argument) != !!value)
				continue;
			int rc = set_option(o, l->val, value);

			if (rc != 0)
				return rc;
			known = true;
		}
		if (!known)
			return usage_error("-o ", w, "unknown mount option");
	}
	return 0;
}

int mount_parse(struct mount_options *o, int argc, char **argv)
{
	int c;

	/* -o and two folders: how mount(8) calls us (dxfs SOURCE DIR -o words). */
	while ((c = getopt_long(argc, argv, "fo:nsvh", longs, NULL)) != -1) {
		int rc = 0;

		if (c == 'h') {
			(void)fputs(usage, stdout);
			return -1;
		}
		if (c == 'o' && optarg)
			rc = set_mount_words(o, optarg);
		else if (c == '?')
			rc = CMD_USAGE;
		else if (!((c == 'n' || c == 's') && !optarg))
			rc = set_option(o, c, optarg);
		if (rc != 0) {
			(void)fputs(short_usage, stderr);
			return rc;
		}
	}
	if (optind + 1 != argc) {
		cmd_wrong_count(argc, argv, 1);
		(void)fputs(short_usage, stderr);
		return CMD_USAGE;
	}
	o->dir = argv[optind];
	return 0;
}
