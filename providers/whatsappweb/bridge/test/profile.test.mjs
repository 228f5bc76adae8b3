import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { unlock, wipe } from '../profile.mjs';

function profile() {
    const folder = join(mkdtempSync(join(tmpdir(), 'profile-')), 'session');
    mkdirSync(folder);
    writeFileSync(join(folder, 'Local State'), '{}');
    return folder;
}

test('locks that a killed browser left are removed, dangling links too, and nothing else', () => {
    const folder = profile();
    symlinkSync('another-machine-4711', join(folder, 'SingletonLock'));
    writeFileSync(join(folder, 'SingletonCookie'), '');
    unlock(folder);
    assert.deepEqual(readdirSync(folder), ['Local State']);
});

test('a void login is deleted, also where there is none', () => {
    const folder = profile();
    wipe(folder);
    wipe(folder);
    assert.equal(existsSync(folder), false);
});
