// SPDX-License-Identifier: MIT
/* accelctl: from the command line to a command, and what holds for all of them. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <accel/model.h>

#include "accelctl.h"
#include "interrupt.h"

/* What is opened later must not become standard output because that was closed: the model's memory
 * would take the answer.  Using such a stream still fails. */
static void take_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

/* Output that is no terminal's is written when there is much of it, or when it is flushed, so that its failure comes
 * with a reason: who writes character by character does not keep it. */
static void take_buffer(void)
{
	static char buffer[1 << 16];

	if (!isatty(STDOUT_FILENO))
		setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
}

static int dispatch(const struct command *cmd, const struct options *o)
{
	output_begin(o->quiet, o->verbose);
	if (o->version)
		return cmd_version(o);
	if (cmd && !o->help)
		return cmd->run(o);
	print_help(stdout, cmd);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	const struct command *cmd;
	struct options o;
	int rc;

	take_standard_streams();
	take_buffer();
	signal(SIGPIPE, SIG_IGN);	/* a reader that closes early is noticed when we write */
	accel_guard_files();		/* a model file that is cut ends in a sentence */
	rc = options_parse(argc, argv, &cmd, &o);
	if (!rc)
		rc = dispatch(cmd, &o);
	if (argc == 1 && isatty(STDERR_FILENO))
		line("`accelctl help` tells what else there is");
	options_free(&o);
	flush_output(&rc);
	if (rc == EXIT_INTERRUPTED)
		interrupt_end();
	return rc;
}
