"""An SMTP server of one test, on a free port of loopback; it ends when its standard input does.

Writes its port to standard output, and what happens, a JSON line each, to the file it is given.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import threading
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("--events", required=True)
parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--user")
parser.add_argument("--password")
parser.add_argument("--refuse", help="the answer to recipients, instead of taking them")
parser.add_argument("--cut", action="store_true", help="close the connection within the mail")
parser.add_argument("--times", type=int, default=1_000_000, help="how often --refuse or --cut holds")
arguments = parser.parse_args()
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


def tell(**event):
    with open(arguments.events, "a", encoding="utf-8") as events:
        events.write(json.dumps(event) + "\n")


class Handler:
    def __init__(self):
        self.times = arguments.times

    def holds(self):
        self.times -= 1
        return self.times >= 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        tell(event="recipient")
        if arguments.refuse and self.holds():
            return arguments.refuse.replace("{address}", address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if arguments.cut and self.holds():
            tell(event="cut")
            server.transport.abort()
            return "250 OK"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        tell(
            event="mail",
            hello=session.host_name,
            encrypted=bool(server.transport.get_extra_info("ssl_object")),
            login=session.auth_data,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers={name: str(value) for name, value in message.items()},
            body=message.get_content(),
        )
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    name = data.login.decode()
    right = (name, data.password.decode()) == (arguments.user, arguments.password)
    tell(event="login", right=right)
    return AuthResult(success=right, handled=False, auth_data=name if right else None)


def context():
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(arguments.cert, arguments.key)
    return made


async def serve():
    handler = Handler()

    def session():
        tell(event="connection")
        return SMTP(
            handler,
            hostname="127.0.0.1",
            enable_SMTPUTF8=True,
            tls_context=context() if arguments.tls == "starttls" else None,
            authenticator=authenticate if arguments.user else None,
            auth_required=bool(arguments.user),
            auth_require_tls=False,
        )

    tls = context() if arguments.tls == "implicit" else None
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
asyncio.run(serve())
