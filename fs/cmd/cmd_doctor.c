/* datamount doctor: what may keep datamount from working here, and the fix. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/cache.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/cmd/doctor.h"
#include "fs/cmd/pin.h"
#include "fs/mount/mount.h"
#include "fs/source/git.h"

static void
check_git(struct doctor *d)
{
	struct dm_err err = { 0 };
	char version[PATH_MAX];
	bool found = false;

	if (git_version(version, &found, &err) < 0) {
		doctor_say(d, DOCTOR_FAIL, "git", "%s", err.text);
	} else if (!found) {
		doctor_say(d, DOCTOR_WARN, "git",
		    "not there: nothing tracks what is pinned");
		doctor_fix(d, "apt-get install git");
	} else {
		doctor_say(d, DOCTOR_OK, "git", "version %s", version);
	}
}

static bool
is_repository(const char *folder)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/datamount", folder) <
	    (int)sizeof(path) &&
	    access(path, F_OK) == 0;
}

/* Is the operand a mount point, or a place for one, rather than a repository?
 */
static int
is_mount_point(const char *text, bool *answer, struct dm_err *err)
{
	bool is_short = false, found = false;
	struct pin_place place;
	char at[PATH_MAX];

	*answer = false;
	if (strstr(text, "://") != NULL || strchr(text, '@') != NULL)
		return 0;
	if (config_is_short_name(text, &is_short, err) < 0 || is_short)
		return is_short ? 0 : -1;
	if (pin_place(&place, text, NULL, err) < 0 ||
	    mount_of(place.dir, at, &found, err) < 0)
		return -1;
	*answer = (found && strcmp(at, place.dir) == 0) ||
	    (!is_repository(place.dir) && access(place.source, F_OK) == 0);
	return 0;
}

/* What the operand is, and what is said of the repository behind it. */
static int
examine_operand(struct doctor *d, struct source_file *version,
    struct dm_err *err)
{
	const char *text = d->args->n > 0 ? d->args->operands[0] : NULL;
	struct source_name name;
	bool mounted = false;

	memset(version, 0, sizeof(*version));
	if (text == NULL)
		return 0;
	if (is_mount_point(text, &mounted, err) < 0)
		return -1;
	if (mounted) {
		doctor_mount(d, text, version);
		return 0;
	}
	if (config_name_parse(&name, text, err) < 0)
		return -1;
	memcpy(version->repository[0], name.repo, sizeof(name.repo));
	memcpy(version->ref, name.ref, sizeof(name.ref));
	version->nrepositories = 1;
	return config_mirrors(version, err);
}

static int
examine(struct doctor *d, struct dm_err *err)
{
	struct config_options o;
	struct source_file version;
	bool named;

	/* Options that make no sense are told before anything else. */
	if (config_options(&o, d->args, NULL, err) < 0 ||
	    examine_operand(d, &version, err) < 0)
		return -1;
	named = version.nrepositories > 0;
	if (config_options(&o, d->args, named ? version.repository[0] : NULL,
		err) < 0)
		return -1;
	doctor_say(d, DOCTOR_OK, "config", "can be read");
	doctor_fuse(d, o.allow_other);
	doctor_cache(d, o.cache_dir);
	check_git(d);
	if (named)
		doctor_origin(d, &version, session_brief_ms(o.timeout_ms));
	else
		doctor_clock(d);
	return 0;
}

/* Nothing else works with such files, but much can be looked at. */
static void
examine_without_config(struct doctor *d, const struct dm_err *why)
{
	struct dm_err err = { 0 };
	char dir[PATH_MAX];
	const char *other = NULL;

	doctor_say(d, DOCTOR_FAIL, "config", "%s", why->text);
	doctor_fix(d, "correct or remove the file; see datamount.conf(5)");
	doctor_fuse(d, false);
	if (cache_dir_default(dir, sizeof(dir), &other, &err) == 0)
		doctor_cache(d, dir);
	check_git(d);
	doctor_clock(d);
}

static int
print_json(const struct doctor *d, struct dm_err *err)
{
	json_t *o = json_pack("{s:O, s:I, s:I}", "checks", d->checks, "warned",
	    (json_int_t)d->warned, "failed", (json_int_t)d->failed);
	int rc = o != NULL ? json_dumpf(o, stdout, JSON_INDENT(2)) : -1;

	json_decref(o);
	printf("\n");
	return rc < 0 ? dm_fail(err, DM_IO, "cannot write the output") : 0;
}

static int
run_doctor(int argc, char **argv, struct dm_err *err)
{
	struct doctor d = { 0 };
	struct cmd_args a;
	int rc = 0;

	if (cmd_parse(&a, &cmd_doctor, argc, argv, 0, 1, err) < 0)
		return -1;
	d.args = &a;
	if (cmd_flag(&a, "json"))
		d.checks = json_array();
	if (config_load(err) < 0)
		examine_without_config(&d, err);
	else
		rc = examine(&d, err);
	doctor_end(&d);
	if (rc == 0 && d.checks != NULL)
		rc = print_json(&d, err);
	json_decref(d.checks);
	if (rc < 0)
		return -1;
	return d.failed > 0 ? CMD_FAILED : CMD_DONE;
}

static const struct cmd_option options[] = {
	{ "json", 0, NULL, "as JSON" },
	{ "allow-other", 0, NULL, "other users shall read the mounts" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_doctor = {
	.name = "doctor",
	.args = "[REPO[@REF] | DIR]",
	.help = "check what mounting takes here, and say how to mend it",
	.options = options,
	.run = run_doctor,
};
