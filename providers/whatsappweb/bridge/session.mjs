// One browser with one WhatsApp Web in it, from launch to exit. Any doubt about it ends the process; the parent starts another.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { loadWhole } from './loading.mjs';
import { lacking, lost, NEEDS } from './needs.mjs';
import { leaveOut, pulse, refreshQr, watchPasskeys, watchSends, watchSocket } from './page.mjs';
import { unlock, wipe } from './profile.mjs';
import { keepVersion, webVersion } from './versions.mjs';

const CHROMIUM_ARGS = [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    '--disable-extensions',
    '--disable-breakpad',
    // Else a login is written to disk only 5 s after it was made, and later than that by a page that writes much: a browser that is
    // killed before loses it.
    '--enable-aggressive-domstorage-flushing',
    // Processes and threads for what never comes: a next site, sound, casting, suggestions under an address bar, WebGL. A quarter of what
    // the browser took.
    '--disable-features=AudioServiceOutOfProcess,MediaRouter,OptimizationHints,SpareRendererForSitePerProcess,Translate',
    '--disable-features=WebUIOmniboxAimPopup,WebUIOmniboxPopup',
    '--enable-features=NetworkServiceInProcess2',
    '--disable-software-rasterizer',
    '--in-process-gpu',
    '--num-raster-threads=1',
    '--js-flags=--optimize-for-size',
];

const CLOSING_MS = 5_000;
// From a login until the browser has surely written it: one that closes sooner may lose it, though it closes in order.
const WRITTEN_MS = 2_000;
// After the page is ready until memory is given back, and between two times.
const SETTLED_MS = 15_000;
const RELIEVE_MS = 600_000;

// Everything else that whatsapp-web.js tells is about parts of WhatsApp that nobody asked for.
const RAW = (model) => model?._data ?? model;
const EVENTS = {
    authenticated: () => ({}),
    auth_failure: (reason) => ({ reason: String(reason) }),
    code: (code) => ({ code }),
    message_create: (message) => ({ message: RAW(message) }),
    message_ack: (message, ack) => ({ message: RAW(message), ack }),
    message_edit: (message, body) => ({ message: RAW(message), body }),
    message_revoke_everyone: (message) => ({ message: RAW(message) }),
    message_reaction: (reaction) => ({ reaction }),
    group_update: (notification) => ({ notification }),
    group_join: (notification) => ({ notification }),
    group_leave: (notification) => ({ notification }),
    group_admin_changed: (notification) => ({ notification }),
    group_membership_request: (notification) => ({ notification }),
    message_ciphertext_failed: (message) => ({ message: RAW(message) }),
    vote_update: ({ voter, selectedOptions, interractedAtTs, parentMsgKey }) => ({
        vote: { voter, options: selectedOptions.map(({ name }) => name), at: interractedAtTs, poll: parentMsgKey },
    }),
    call: (call) => ({ call: { id: call.id, from: call.from, isVideo: Boolean(call.isVideo), fromMe: Boolean(call.fromMe) } }),
};

export class Session {
    /**
     * @param library the module whatsapp-web.js
     * @param config {data, chromium, chromiumArgs, pulseMs, pulseLimitMs}
     * @param channel where events go
     * @param exit (code) => void
     */
    constructor(library, config, channel, exit) {
        this.config = config;
        this.channel = channel;
        this.exit = exit;
        this.profile = join(config.data, 'session');
        this.leaving = false;
        this.authenticated = false;
        this.wasSynced = false;
        this.ready = false;
        /** Whether a code was shown, and when it was used. */
        this.askedForLogin = false;
        this.linkedAt = -Infinity;
        this.missing = [];
        this.relieveAt = 0;
        /** The client_id of the send that is under way. */
        this.sending = null;
        this.client = new library.Client({
            authStrategy: this.authStrategy(library),
            ...webVersion(config),
            puppeteer: {
                executablePath: config.chromium,
                // A pipe instead of a port: nobody else can connect to it, and Chromium ends when this process does.
                pipe: true,
                headless: true,
                handleSIGINT: false,
                handleSIGTERM: false,
                handleSIGHUP: false,
                protocolTimeout: 120_000,
                args: [...CHROMIUM_ARGS, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), ...config.chromiumArgs],
            },
        });
    }

    /** LocalAuth, which does not delete the profile under a running Chromium, and lets us in before the page is loaded. */
    authStrategy(library) {
        const strategy = new library.LocalAuth({ dataPath: this.config.data });
        strategy.logout = async () => {};
        strategy.afterBrowserInitialized = async () => {
            if (!this.leaving) await this.pageOpened(this.client.pupPage);
        };
        return strategy;
    }

    async start() {
        mkdirSync(this.profile, { recursive: true, mode: 0o700 });
        unlock(this.profile);
        this.forward();
        try {
            await this.client.initialize();
        } catch (error) {
            await this.leave(`not started: ${words(error)}`);
            return;
        }
        await this.lookAfter();
    }

    forward() {
        // The library closes the browser itself in some states. Closed from two sides at once, Chromium loses the login
        // that it had not written yet.
        this.client.destroy = async () => {};
        for (const [name, told] of Object.entries(EVENTS)) {
            this.client.on(name, (...args) => this.channel.emit(name, told(...args)));
        }
        this.client.on('authenticated', () => {
            this.authenticated = true;
            if (this.askedForLogin) this.linkedAt = Date.now();
        });
        this.client.on('loading_screen', (percent) => this.channel.emit('progress', { percent }));
        this.client.on('qr', (content) => {
            this.askedForLogin = true;
            this.channel.emit('qr', { content });
        });
        this.client.on('ready', () => this.becameReady());
        this.client.on('disconnected', (reason) => {
            const unlinked = reason === 'LOGOUT' || reason === 'UNPAIRED';
            this.leave(unlinked ? 'logged_out' : `disconnected: ${reason}`, { wiping: unlinked });
        });
    }

    async becameReady() {
        try {
            await this.client.pupPage.evaluate(watchSends);
        } catch (error) {
            await this.leave(`not ready: ${words(error)}`);
            return;
        }
        this.ready = true;
        this.relieveAt = Date.now() + SETTLED_MS;
        const version = await this.client.getWWebVersion().catch(() => 'of an unknown version');
        keepVersion(this.config.data, version, this.client.currentIndexHtml);
        this.missing = await this.lacking();
        const { wid, pushname, platform } = this.client.info;
        const lid = await this.client.pupPage
            .evaluate(() => window.require('WAWebUserPrefsMeUser').getMaybeMeLidUser()?._serialized ?? null)
            .catch(() => null);
        if (this.leaving) return;
        this.channel.emit('ready', { version, ...this.selfTest(), me: { id: wid._serialized, lid, name: pushname, platform } });
    }

    /** What the bridge uses and the page does not have. */
    async lacking() {
        try {
            return await this.client.pupPage.evaluate(lacking, NEEDS);
        } catch (error) {
            return [{ name: `an answer to the self-test (${words(error)})`, for: '' }];
        }
    }

    selfTest() {
        return { missing: this.missing.map(({ name }) => name), lost: lost(this.missing) };
    }

    /** A module may be loaded later than the page is ready. */
    async lookAgain() {
        if (!this.ready || !this.missing.length) return;
        const missing = await this.lacking();
        if (missing.length === this.missing.length) return;
        this.missing = missing;
        this.channel.emit('modules', this.selfTest());
    }

    async pageOpened(page) {
        // The library does not look at these: a renderer that is gone leaves its calls waiting for ever.
        loadWhole(page);
        page.on('error', () => this.leave('page_crashed'));
        page.on('close', () => this.leave('page_closed'));
        this.client.pupBrowser.on('disconnected', () => this.leave('browser_gone'));
        await page.exposeFunction('bridgePasskey', () => this.channel.emit('passkey'));
        await page.exposeFunction('bridgeSending', (id) => this.channel.emit('sending', { client_id: this.sending, message_id: id }));
        await page.exposeFunction('bridgeState', (state) => this.stateChanged(state));
        await page.evaluateOnNewDocument(watchPasskeys);
        await page.evaluateOnNewDocument(leaveOut);
    }

    stateChanged(state) {
        this.channel.emit('state', { state });
        if (state === 'PAIRING' && this.askedForLogin) this.linkedAt = Date.now();
        if (state === 'UNPAIRED_IDLE') this.client.pupPage.evaluate(refreshQr).catch((error) => this.leave(`no new qr: ${words(error)}`));
    }

    /** Has Chromium give back memory that the loading of the page took, and what caches have gathered since. */
    async relieve() {
        if (!this.ready || Date.now() < this.relieveAt) return;
        this.relieveAt = Date.now() + RELIEVE_MS;
        try {
            const devtools = await this.client.pupPage.createCDPSession();
            await devtools.send('Memory.simulatePressureNotification', { level: 'critical' });
            await devtools.detach();
        } catch (error) {
            // Another browser may not know the command, and keeps its memory.
            console.error(`no memory was given back: ${words(error)}`);
        }
    }

    /** Takes the pulse of the page until one is missing. */
    async lookAfter() {
        while (!this.leaving) {
            try {
                await within(this.client.pupPage.evaluate(watchSocket), this.config.pulseLimitMs);
                const now = await within(this.client.pupPage.evaluate(pulse), this.config.pulseLimitMs);
                await within(this.relieve(), this.config.pulseLimitMs);
                await this.catchUp(now.synced);
                this.channel.emit('pulse', now);
                await within(this.lookAgain(), this.config.pulseLimitMs);
            } catch (error) {
                // Between two documents there is nothing to look at; what is really dead stays so.
                if (!/context was destroyed|navigat/i.test(words(error))) {
                    await this.leave(`no pulse: ${words(error)}`);
                    return;
                }
            }
            await new Promise((resolve) => setTimeout(resolve, this.config.pulseMs));
        }
    }

    /** The library waits for a change of `hasSynced`; one that came before it listened would be missed for ever. */
    async catchUp(synced) {
        const missed = synced && this.wasSynced && !this.authenticated;
        this.wasSynced = synced;
        if (missed) await this.client.pupPage.evaluate(() => window.onAppStateHasSyncedEvent());
    }

    /** Unlinks this device. The answer goes out before the process ends. */
    async logout() {
        await this.client.pupPage.evaluate(() => window.require('WAWebSocketModel').Socket.logout());
        setImmediate(() => this.leave('logged_out', { wiping: true }));
    }

    /** Once. Closes Chromium, so that it writes the login to disk, deletes the login if it is void, and exits. */
    async leave(reason, { wiping = false } = {}) {
        if (this.leaving) return;
        this.leaving = true;
        const browser = this.client.pupBrowser;
        const unwritten = this.linkedAt + WRITTEN_MS - Date.now();
        if (!wiping && browser?.connected && unwritten > 0) await new Promise((resolve) => setTimeout(resolve, unwritten));
        await within(Promise.resolve(browser?.close()), CLOSING_MS).catch(() => {});
        await ended(browser?.process());
        if (wiping) wipe(this.profile);
        this.channel.emit('exit', { reason });
        this.exit(0);
    }
}

/** Chromium writes the login to disk until its end, also when the answer to the asking failed. */
async function ended(chromium) {
    const isOver = () => !chromium || chromium.exitCode !== null || chromium.signalCode !== null;
    if (isOver()) return;
    const over = new Promise((resolve) => chromium.once('exit', resolve));
    await within(over, CLOSING_MS).catch(() => chromium.kill('SIGKILL'));
    if (!isOver()) await within(over, CLOSING_MS).catch(() => {});
}

export function words(error) {
    return String(error?.message ?? error).split('\n')[0].slice(0, 200);
}

export async function within(promise, milliseconds) {
    let timer;
    const late = new Promise((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}
