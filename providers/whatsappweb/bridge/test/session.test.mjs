// The program as a whole over a library that misbehaves; with the real one it is tested from Python.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Session } from '../session.mjs';

const BRIDGE = join(dirname(fileURLToPath(import.meta.url)), '..', 'bridge.mjs');

/** Runs the bridge over a Client whose `initialize` is `body`, until it ends. */
async function run(body) {
    const folder = mkdtempSync(join(tmpdir(), 'bridge-'));
    const library = join(folder, 'node_modules', 'whatsapp-web.js');
    mkdirSync(library, { recursive: true });
    writeFileSync(
        join(library, 'index.js'),
        `const { EventEmitter } = require('events');
        exports.LocalAuth = class {};
        exports.Client = class extends EventEmitter {
            constructor(options) { super(); this.options = options; }
            async initialize() { ${body} }
        };`,
    );
    const env = { ...process.env, WA_MODULES: folder, WA_DATA: folder, WA_CHROMIUM: '/bin/false', WA_PULSE_MS: '50' };
    const bridge = spawn(process.execPath, [BRIDGE], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let text = '';
    bridge.stdout.on('data', (chunk) => (text += chunk));
    const code = await new Promise((resolve) => bridge.on('exit', resolve));
    const lines = text.trim().split('\n').map(JSON.parse);
    return { code, lines, exits: lines.filter(({ event }) => event === 'exit') };
}

test('a library that cannot start ends the bridge with its words, though they are no error', async () => {
    const { code, exits } = await run(`throw 'auth timeout';`);
    assert.equal(code, 0);
    assert.deepEqual(exits.map(({ data }) => data.reason), ['not started: auth timeout']);
});

test('a rejection that nobody awaits and that means the end ends the bridge', async () => {
    const { exits } = await run(`Promise.reject(new Error('Target closed')); await new Promise(() => setInterval(() => {}, 1000));`);
    assert.deepEqual(exits.map(({ data }) => data.reason), ['library failed: Target closed']);
});

test('one that means nothing does not, and what the library prints stays out of the channel', async () => {
    const { lines, exits } = await run(`
        console.log('not JSON');
        Promise.reject(new Error('window is not defined'));
        await new Promise((resolve) => setTimeout(resolve, 100));
        this.emit('disconnected', 'CONFLICT');
        this.emit('disconnected', 'browser');
        await new Promise(() => setInterval(() => {}, 1000));`);
    assert.deepEqual(lines.map(({ event }) => event), ['started', 'trouble', 'exit']);
    assert.deepEqual(exits.map(({ data }) => data.reason), ['disconnected: CONFLICT']);
});

test('a browser that cannot give memory back goes on, and is asked once in a while', async () => {
    const asked = [];
    const library = { LocalAuth: class {}, Client: class {} };
    const session = new Session(library, { data: tmpdir(), chromiumArgs: [] }, null, () => {});
    const send = async (method) => {
        asked.push(method);
        throw new Error(`'${method}' wasn't found`);
    };
    session.client.pupPage = { createCDPSession: async () => ({ send }) };
    await session.relieve();
    assert.deepEqual(asked, []);
    session.ready = true;
    for (let look = 0; look < 3; look += 1) await session.relieve();
    assert.deepEqual(asked, ['Memory.simulatePressureNotification']);
});

test('a page that becomes ready while it is being closed is not told of', async () => {
    const told = [];
    const library = { LocalAuth: class {}, Client: class {} };
    const channel = { emit: (event) => told.push(event) };
    const session = new Session(library, { data: tmpdir(), chromiumArgs: [] }, channel, () => {});
    Object.assign(session.client, {
        pupPage: { evaluate: async () => [] },
        info: { wid: { _serialized: '15550100@c.us' } },
        getWWebVersion: async () => {
            session.leave('browser_gone');
            return '2.3000.1';
        },
    });
    await session.becameReady();
    assert.ok(!told.includes('ready'));
});

test('a browser is not closed before it has written a login that was just made', async () => {
    const library = { LocalAuth: class {}, Client: class extends EventEmitter {} };
    const closed = [];
    const exited = [];
    for (const shown of [[], ['qr']]) {
        const session = new Session(library, { data: tmpdir(), chromiumArgs: [] }, { emit: () => {} }, (code) => exited.push(code));
        session.client.pupBrowser = { connected: true, close: async () => closed.push(Date.now() - began), process: () => null };
        session.forward();
        const began = Date.now();
        for (const event of [...shown, 'authenticated']) session.client.emit(event);
        await session.leave('parent_gone');
    }
    assert.ok(closed[0] < 1_000, 'a stored login was written long ago');
    assert.ok(closed[1] >= 1_900);
    assert.deepEqual(exited, [0, 0]);
});

test('the page cache is off, and Chromium is spoken to by a pipe', async () => {
    const { lines } = await run(`
        const { webVersionCache, puppeteer } = this.options;
        this.emit('code', JSON.stringify([webVersionCache.type, puppeteer.pipe]));
        throw 'done';`);
    assert.deepEqual(lines.find(({ event }) => event === 'code').data.code, '["none",true]');
});
