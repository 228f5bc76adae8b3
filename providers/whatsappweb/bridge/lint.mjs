// Every module parses, and is written as its neighbours: four spaces, no tabs, no trailing space, no console but the one that is replaced.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const folders = [here, join(here, 'test')];
const RULES = [
    [/\t/, 'a tab'],
    [/[ \t]+$/, 'space at the end of the line'],
    [/\bvar\b/, 'var'],
    [/[^=!]==[^=]/, '== instead of ==='],
    [/^.{141,}$/, 'a line longer than 140 characters'],
];

let faults = 0;
for (const file of folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))) {
    if (!file.endsWith('.mjs') || file.endsWith('lint.mjs')) continue;
    execFileSync(process.execPath, ['--check', file], { stdio: 'inherit' });
    readFileSync(file, 'utf8').split('\n').forEach((line, index) => {
        for (const [rule, what] of RULES.filter(([rule]) => rule.test(line))) {
            faults += 1;
            process.stderr.write(`${file}:${index + 1}: ${what}\n`);
        }
    });
}
process.exit(faults ? 1 : 0);
