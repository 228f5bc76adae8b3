// The bare library, as its guide begins. Prints `qr CONTENT` with the first QR code, `ready` when an account is linked, and stays until it is
// ended. Arguments: the folder of its modules, the browser, the browser's arguments as JSON, the data folder.

const { createRequire } = require('node:module');

const [modules, chromium, args, data] = process.argv.slice(2);
const { Client, LocalAuth } = createRequire(`${modules}/package.json`)('whatsapp-web.js');

const client = new Client({
    authStrategy: new LocalAuth({ dataPath: data }),
    webVersionCache: { type: 'none' },
    // Killed by puppeteer, the browser would lose a login that it has not written yet.
    puppeteer: { executablePath: chromium, headless: true, handleSIGTERM: false, handleSIGINT: false, args: JSON.parse(args) },
});
client.once('qr', (content) => console.log(`qr ${content}`));
client.once('ready', () => console.log('ready'));
for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, async () => {
        await client.destroy();
        process.exit(0);
    });
}
client.initialize();
