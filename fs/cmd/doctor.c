#include "fs/cmd/doctor.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const verdicts[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARN] = "warn",
	[DOCTOR_FAIL] = "fail",
};

void
doctor_say(struct doctor *d, enum doctor_verdict verdict, const char *what,
    const char *fmt, ...)
{
	va_list ap;

	doctor_end(d);
	d->what = what;
	d->verdict = verdict;
	d->fix[0] = '\0';
	d->warned += verdict == DOCTOR_WARN;
	d->failed += verdict == DOCTOR_FAIL;
	va_start(ap, fmt);
	(void)vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
}

void
doctor_fix(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(d->fix, sizeof(d->fix), fmt, ap);
	va_end(ap);
}

/* Text may come from a server: no control bytes reach the terminal. */
static void
clean(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void
add_json(const struct doctor *d)
{
	json_t *o = json_pack("{s:s, s:s}", "verdict", verdicts[d->verdict],
	    "what", d->what);
	json_t *text = json_string(d->text);

	/* Paths need not be UTF-8. */
	(void)json_object_set_new(o, "text",
	    text != NULL ? text : json_string("(not UTF-8)"));
	if (d->fix[0] != '\0')
		(void)json_object_set_new(o, "fix", json_string(d->fix));
	(void)json_array_append_new(d->checks, o);
}

void
doctor_end(struct doctor *d)
{
	if (d->what == NULL)
		return;
	clean(d->text);
	clean(d->fix);
	if (d->checks != NULL)
		add_json(d);
	else
		printf("%-4s %s: %s%s%s%s\n", verdicts[d->verdict], d->what,
		    d->text, d->fix[0] != '\0' ? " (fix: " : "", d->fix,
		    d->fix[0] != '\0' ? ")" : "");
	(void)fflush(stdout); /* the next check may take its time */
	d->what = NULL;
}
