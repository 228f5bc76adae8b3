import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';

import { Channel } from '../channel.mjs';
import { queue } from '../operations.mjs';

function pair() {
    const input = new PassThrough();
    const output = new PassThrough();
    const lines = [];
    output.on('data', (chunk) => lines.push(...chunk.toString().trim().split('\n').map(JSON.parse)));
    return { channel: new Channel(input, output), input, lines };
}

const soon = () => new Promise((resolve) => setImmediate(resolve));

test('events are numbered within one boot', async () => {
    const { channel, lines } = pair();
    channel.emit('qr', { content: 'x' });
    channel.emit('ready');
    await soon();
    assert.deepEqual(lines.map(({ event, sequence }) => [event, sequence]), [['qr', 1], ['ready', 2]]);
    assert.equal(lines[0].boot, lines[1].boot);
});

test('each request has its answer, and an error is an answer', async () => {
    const { channel, input, lines } = pair();
    channel.listen(
        async (op, args) => {
            if (op === 'fail') throw Object.assign(new Error('no\nsecond line'), { code: 'not_allowed', begun: true });
            return args;
        },
        () => {},
    );
    input.write('{"id": 1, "op": "echo", "args": {"a": 1}}\n{"id": 2, "op": "fail"}\nnonsense\n');
    while (lines.length < 3) await soon();
    assert.deepEqual(lines.find(({ id }) => id === 1).result, { a: 1 });
    assert.deepEqual(lines.find(({ id }) => id === 2).error, { code: 'not_allowed', message: 'no', begun: true });
    assert.equal(lines.find(({ event }) => event).event, 'refused');
});

test('the end of the parent is noticed', async () => {
    const { channel, input } = pair();
    const gone = new Promise((resolve) => channel.listen(async () => {}, resolve));
    input.end();
    await gone;
});

test('sends go one after the other, and one that fails does not keep back the next', async () => {
    const inTurn = queue();
    const order = [];
    const slow = inTurn(async () => {
        await soon();
        order.push('slow');
        throw new Error('broken');
    });
    const quick = inTurn(async () => order.push('quick'));
    await assert.rejects(slow, /broken/);
    await quick;
    assert.deepEqual(order, ['slow', 'quick']);
});
