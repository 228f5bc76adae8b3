// The bare library: prints a line when the first QR code is there. Arguments: its folder, the browser, its arguments as JSON, the data folder.

const { createRequire } = require('node:module');

const [modules, chromium, args, data] = process.argv.slice(2);
const { Client, LocalAuth } = createRequire(`${modules}/package.json`)('whatsapp-web.js');

const client = new Client({
    authStrategy: new LocalAuth({ dataPath: data }),
    webVersionCache: { type: 'none' },
    puppeteer: { executablePath: chromium, headless: true, args: JSON.parse(args) },
});
client.on('qr', async () => {
    console.log('qr');
    await client.destroy();
    process.exit(0);
});
client.initialize();
