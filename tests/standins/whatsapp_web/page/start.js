// From the first connection to the login, and what the other side does to it.

/** As on the real page: what waits for `hasSynced` hears of its change alone. */
async function becomeSynced(early, slow = false) {
    Socket.set({ state: 'CONNECTED' });
    await sync();
    await window.loadBulk?.();
    if (slow) await new Promise((resolve) => wire.once('finish_sync', resolve));
    if (!early) while (!Socket.has('change:hasSynced')) await new Promise((resolve) => setTimeout(resolve, 10));
    Socket.set({ hasSynced: true });
}

let loaded = 100;

async function hello() {
    const told = await wire.call('hello', { device: localStorage.getItem('device') });
    told.without.forEach((name) => without.add(name));
    if (told.linked) {
        await becomeSynced(told.early);
        return;
    }
    localStorage.removeItem('device');
    Conn.set({ ref: told.ref });
    Socket.set({ state: 'UNPAIRED' });
}

function unlinked(command) {
    localStorage.removeItem('device');
    Cmd.trigger(command);
    location.href = '/?post_logout=1';
}

wire.on('ref', ({ ref }) => {
    Conn.set({ ref });
    Socket.set({ state: 'UNPAIRED' });
});
wire.on('paired', async ({ device, early, slow }) => {
    localStorage.setItem('device', device);
    Socket.set({ state: 'PAIRING' });
    await becomeSynced(early, slow);
});
wire.on('progress', ({ percent }) => {
    loaded = percent;
    Cmd.trigger('offline_progress_update_from_bridge');
});
wire.on('passkey', () => {
    const publicKey = { challenge: new Uint8Array(32), rpId: 'whatsapp.com', allowCredentials: [], timeout: 60000 };
    navigator.credentials.get({ publicKey }).catch(() => {});
});
wire.on('state', ({ state }) => Socket.set({ state }));
wire.on('unlink', () => unlinked('logout_from_bridge'));
wire.on('mute', ({ muted }) => {
    Msg.muted = muted;
});
wire.on('hang', () => {
    for (;;);
});
wire.on('without', ({ names }) => {
    without.clear();
    names.forEach((name) => without.add(name));
});
wire.on('reload', () => location.reload());
/** As the real page does, which tries until it has a line. */
async function connect() {
    for (;;) {
        try {
            return await wire.open();
        } catch {
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    }
}

wire.on('closed', async () => {
    if (!Socket.hasSynced) return;
    Socket.set({ state: 'OPENING' });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await connect();
    const told = await wire.call('hello', { device: localStorage.getItem('device') });
    if (!told.linked) return;
    Socket.set({ state: 'CONNECTED' });
    for (const missed of told.missed) wire.trigger('message', missed);
});

connect().then(hello);
