// How often a page is loaded, by what is missing of it.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';

import { loadWhole } from '../loading.mjs';

/** A page whose loads go as told: null is a whole one, an error is thrown, a text is why a request failed. */
function page(loads, type = 'script') {
    const page = new EventEmitter();
    page.loads = 0;
    page.goto = async (url) => {
        const outcome = loads[Math.min(page.loads, loads.length - 1)];
        page.loads += 1;
        if (outcome instanceof Error) throw outcome;
        if (outcome) {
            const request = { failure: () => ({ errorText: outcome }), resourceType: () => type, url: () => 'https://w/app.js' };
            page.emit('requestfailed', request);
        }
        return url;
    };
    loadWhole(page, 1);
    return page;
}

test('a page that the network tore, or a script of it, is loaded again', async () => {
    const torn = page([new Error('net::ERR_NETWORK_CHANGED at https://w/'), 'net::ERR_NETWORK_CHANGED', null]);
    assert.equal(await torn.goto('https://w/'), 'https://w/');
    assert.equal(torn.loads, 3);
});

test('in the end it says what is missing', async () => {
    const torn = page(['net::ERR_EMPTY_RESPONSE']);
    await assert.rejects(torn.goto('https://w/'), { message: 'net::ERR_EMPTY_RESPONSE at https://w/app.js' });
    assert.equal(torn.loads, 5);
});

test('what the page gives up by itself, a picture, and trouble of another kind are not loaded again', async () => {
    for (const [loads, type] of [[['net::ERR_ABORTED'], 'script'], [['net::ERR_FAILED'], 'image']]) {
        const whole = page(loads, type);
        await whole.goto('https://w/');
        assert.equal(whole.loads, 1);
    }
    const closed = page([new Error('Target closed')]);
    await assert.rejects(closed.goto('https://w/'), { message: 'Target closed' });
    assert.equal(closed.loads, 1);
});
