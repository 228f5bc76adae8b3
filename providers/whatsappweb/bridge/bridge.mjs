// WhatsApp Web for one account: whatsapp-web.js in a headless Chromium, driven by JSON lines on stdin, telling on stdout.
// It has no policy. Any doubt ends it; whoever started it starts it again.
//
// WA_DATA           folder of the login
// WA_CHROMIUM       the browser
// WA_CHROMIUM_ARGS  further arguments for it, a JSON list
// WA_MODULES        folder whose node_modules hold whatsapp-web.js; unset: the one beside this file
// WA_WEB_VERSION    the version of WhatsApp Web to run, of those that ran here before; empty: the newest
// WA_PULSE_MS       between two looks at the page

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { Channel } from './channel.mjs';
import { operations } from './operations.mjs';
import { Session, words } from './session.mjs';

// stdout belongs to the channel; what the library prints goes to stderr.
console.log = console.info = console.warn = console.debug = console.error;

const env = process.env;
const require = createRequire(env.WA_MODULES ? join(env.WA_MODULES, 'package.json') : import.meta.url);
const library = require('whatsapp-web.js');

const channel = new Channel(process.stdin, process.stdout);
const pulseMs = Number(env.WA_PULSE_MS ?? 10_000);
const config = {
    data: env.WA_DATA,
    chromium: env.WA_CHROMIUM,
    webVersion: env.WA_WEB_VERSION || null,
    chromiumArgs: JSON.parse(env.WA_CHROMIUM_ARGS ?? '[]'),
    pulseMs,
    pulseLimitMs: Math.max(3 * pulseMs, 5_000),
};
const session = new Session(library, config, channel, (code) => process.stdout.write('', () => process.exit(code)));

const FATAL = /target closed|session closed|auth timeout|ready timeout|crashed/i;

// The library leaves many promises unawaited, and node would end without closing the browser.
process.on('unhandledRejection', (error) => {
    console.error(`unhandled: ${words(error)}`);
    if (FATAL.test(words(error))) session.leave(`library failed: ${words(error)}`);
    else channel.emit('trouble', { words: words(error) });
});
process.on('uncaughtException', (error) => {
    console.error(`uncaught: ${words(error)}`);
    session.leave(`bridge failed: ${words(error)}`);
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => session.leave('stopped'));

channel.listen(operations(library, session), () => session.leave('parent_gone'));
channel.emit('started');
await session.start();
