// The folder in which Chromium keeps the login.

import { rmSync } from 'node:fs';
import { join } from 'node:path';

// A Chromium that was killed together with its container leaves these behind, and the next one refuses to start:
// "profile appears to be in use by another Chromium process on another computer". The parent sees to it that only one runs.
const LOCKS = ['SingletonLock', 'SingletonCookie', 'SingletonSocket'];

export function unlock(folder) {
    for (const name of LOCKS) rmSync(join(folder, name), { force: true });
}

/** Only after Chromium has ended: it would go on writing into files that are deleted, and the next login would be lost. */
export function wipe(folder) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
