// The pages of WhatsApp Web that ran here, by version: an older one can be run again where a newer one has changed too much.

import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const KEPT = 5;

const folderOf = (data) => join(data, 'web-versions');

/** The library's options. Its own cache would write beside the program, and where it cannot, 'ready' never comes. */
export function webVersion({ data, webVersion: version }) {
    if (!version) return { webVersionCache: { type: 'none' } };
    return { webVersion: version, webVersionCache: { type: 'local', path: folderOf(data), strict: true } };
}

/** Keeps the page of a version that became ready; the oldest go. */
export function keepVersion(data, version, html) {
    if (!html || !/^[0-9A-Za-z.-]+$/.test(version)) return;
    const folder = folderOf(data);
    try {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        writeFileSync(join(folder, `${version}.html`), html);
        const age = (name) => statSync(join(folder, name)).mtimeMs;
        const oldest = readdirSync(folder).sort((one, other) => age(other) - age(one)).slice(KEPT);
        for (const name of oldest) rmSync(join(folder, name), { force: true });
    } catch (error) {
        console.error(`the page of version ${version} was not kept: ${error.message}`);
    }
}
