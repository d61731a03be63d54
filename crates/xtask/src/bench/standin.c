/*
 * A kernel's IPVS that takes everything, for keepalived's checkers on a kernel without IPVS: `cargo xtask bench` puts
 * it before libnl-genl, through which keepalived speaks to the kernel. Every request is acknowledged at once and
 * nothing is read back, so what is measured is the checking alone.
 */
#include <stddef.h>

typedef int (*callback)(void *message, void *argument);

/* enum nl_cb_type of libnl */
enum { FINISH = 1, ACK = 4, KINDS = 16 };

static struct {
	callback function;
	void *argument;
} callbacks[KINDS];

int genl_connect(void *socket)
{
	(void)socket;
	return 0;
}

int genl_ctrl_resolve(void *socket, const char *name)
{
	(void)socket;
	(void)name;
	return 32;
}

int nl_send_auto(void *socket, void *message)
{
	(void)socket;
	(void)message;
	return 1;
}

int nl_socket_modify_cb(void *socket, int kind, int how, callback function, void *argument)
{
	(void)socket;
	(void)how;
	if (kind >= 0 && kind < KINDS) {
		callbacks[kind].function = function;
		callbacks[kind].argument = argument;
	}
	return 0;
}

int nl_recvmsgs_default(void *socket)
{
	static const int answers[] = { FINISH, ACK };
	size_t i;

	(void)socket;
	for (i = 0; i < sizeof answers / sizeof *answers; i++) {
		if (callbacks[answers[i]].function != NULL)
			callbacks[answers[i]].function(NULL, callbacks[answers[i]].argument);
	}
	return 0;
}
