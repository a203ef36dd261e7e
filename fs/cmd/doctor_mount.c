/* How does the mount at a directory fare? */
#include <stdio.h>
#include <string.h>

#include "cache/base/buf.h"
#include "fs/cmd/doctor.h"
#include "fs/cmd/pin.h"
#include "fs/mount/mount.h"

enum { DOCTOR_STATUS_MAX = 1 << 20, DOCTOR_HEX = 12 };

static const char *
string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static void
check_state(struct doctor *d, const char *dir, const json_t *o)
{
	const json_t *fuse = json_object_get(o, "fuse");
	json_int_t errors = json_integer_value(json_object_get(fuse, "errors"));
	const char *state = string(o, "state"), *log = string(o, "log");

	if (strcmp(state, "ok") != 0) {
		doctor_say(d, DOCTOR_FAIL, "mount-state", "%s is %s: %s", dir,
		    state, string(o, "why"));
		doctor_fix(d, "look into %s; umount, and mount it again",
		    log[0] != '\0' ? log : "standard error of its daemon");
	} else if (errors > 0) {
		doctor_say(d, DOCTOR_WARN, "mount-state",
		    "%s: %lld requests failed, the last: %s", dir,
		    (long long)errors,
		    string(json_object_get(o, "last_error"), "text"));
	} else {
		doctor_say(d, DOCTOR_OK, "mount-state", "%s shows %.*s", dir,
		    DOCTOR_HEX, string(o, "commit"));
	}
	if (json_is_true(json_object_get(json_object_get(o, "cache"),
		"disk_broken"))) {
		doctor_say(d, DOCTOR_WARN, "mount-cache",
		    "its disk cannot be used: reads go through");
		doctor_fix(d, "see the lines about the cache");
	}
}

/* Is what is mounted what the .source file says now? */
static void
check_pin(struct doctor *d, const char *dir, const json_t *o)
{
	const char *path = string(o, "source");
	char hex[DIGEST_HEX + 1];
	struct source_file pin;
	struct dm_err err = { 0 };
	bool found = false;

	if (path[0] == '\0') {
		doctor_say(d, DOCTOR_OK, "pin", "%s is mounted without one",
		    dir);
	} else if (pin_read(path, &pin, &found, &err) < 0) {
		doctor_say(d, DOCTOR_FAIL, "pin", "%s", err.text);
	} else if (!found) {
		doctor_say(d, DOCTOR_WARN, "pin", "%s is gone", path);
		doctor_fix(d, "bring it back, or umount %s", dir);
	} else {
		digest_hex(&pin.commit, hex);
		if (strcmp(hex, string(o, "commit")) == 0 &&
		    strcmp(pin.path, string(o, "path")) == 0) {
			doctor_say(d, DOCTOR_OK, "pin", "%s pins the same",
			    path);
			return;
		}
		doctor_say(d, DOCTOR_WARN, "pin", "%s pins %.*s", path,
		    DOCTOR_HEX, hex);
		doctor_fix(d, "datamount sync %s", dir);
	}
}

/* Nothing answers: is a dead mount there, or nothing but a pin? */
static void
check_unmounted(struct doctor *d, const struct pin_place *place,
    struct source_file *version)
{
	struct dm_err err = { 0 };
	char at[PATH_MAX];
	bool found = false;

	if (mount_of(place->dir, at, &found, &err) == 0 && found) {
		doctor_say(d, DOCTOR_FAIL, "mount-state",
		    "the daemon of the mount at %s is dead, or another user's",
		    at);
		doctor_fix(d, "datamount umount %s, and mount it again", at);
	} else {
		doctor_say(d, DOCTOR_OK, "mount-state",
		    "nothing is mounted at %s", place->dir);
	}
	if (pin_read(place->source, version, &found, &err) < 0 ||
	    (found && pin_absolute(place->source, version, &err) < 0)) {
		version->nrepositories = 0;
		doctor_say(d, DOCTOR_FAIL, "pin", "%s", err.text);
	} else if (found) {
		digest_hex(&version->commit, version->ref);
		doctor_say(d, DOCTOR_OK, "pin", "%s can be read",
		    place->source);
	}
}

/* What is mounted; the mirrors are those that the .source file names now. */
static void
note_version(struct source_file *version, const json_t *o)
{
	const char *path = string(o, "source");
	struct dm_err ignored = { 0 };
	bool found = false;

	if (path[0] == '\0' || pin_read(path, version, &found, &ignored) < 0 ||
	    !found || pin_absolute(path, version, &ignored) < 0)
		version->nrepositories = 1;
	(void)snprintf(version->repository[0], sizeof(version->repository[0]),
	    "%s", string(o, "repository"));
	(void)snprintf(version->ref, sizeof(version->ref), "%s",
	    string(o, "commit"));
}

void
doctor_mount(struct doctor *d, const char *dir, struct source_file *version)
{
	DM_AUTO(dm_buf_release)
	struct dm_buf text = DM_BUF(DOCTOR_STATUS_MAX);
	struct pin_place place;
	struct dm_err err = { 0 };
	bool found = false;
	json_t *o;

	memset(version, 0, sizeof(*version));
	if (pin_place(&place, dir, NULL, &err) < 0 ||
	    mount_status(place.dir, &text, &found, &err) < 0) {
		doctor_say(d, DOCTOR_FAIL, "mount-state", "%s", err.text);
		return;
	}
	if (!found) {
		check_unmounted(d, &place, version);
		return;
	}
	o = json_loadb(text.data, text.size, 0, NULL);
	note_version(version, o);
	check_state(d, place.dir, o);
	check_pin(d, place.dir, o);
	doctor_end(d);
	json_decref(o);
}
