// JSON lines: requests come in on one stream, answers and events go out on another.
// The parent's pipes are the channel: there is no port to guard, and their end tells each side that the other is gone.

import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';

export class Channel {
    constructor(input, output) {
        this.boot = randomUUID();
        this.sequence = 0;
        this.input = input;
        this.output = output;
    }

    /** An event with its number in this run of the bridge: a gap or another boot tells the parent that something is missing. */
    emit(event, data = {}) {
        this.sequence += 1;
        this.write({ event, boot: this.boot, sequence: this.sequence, data });
    }

    /** Calls `answer(operation, args)` for each request, and `gone()` when the parent has closed its end. */
    listen(answer, gone) {
        const lines = createInterface({ input: this.input, crlfDelay: Infinity });
        lines.on('line', (line) => this.take(line, answer));
        lines.on('close', gone);
    }

    async take(line, answer) {
        const request = parse(line);
        if (request === null) {
            this.emit('refused', { reason: 'not a request' });
            return;
        }
        try {
            const result = await answer(request.op, request.args ?? {});
            this.write({ id: request.id, result: result ?? null });
        } catch (error) {
            this.write({ id: request.id, error: described(error) });
        }
    }

    write(message) {
        this.output.write(`${JSON.stringify(message)}\n`);
    }
}

function parse(line) {
    try {
        const request = JSON.parse(line);
        return Number.isInteger(request?.id) && typeof request.op === 'string' ? request : null;
    } catch {
        return null;
    }
}

/** The library throws strings as well as errors. `begun`: the message may have left. */
export function described(error) {
    const words = typeof error === 'string' ? error : String(error?.message ?? error);
    return { code: error?.code ?? 'failed', message: words.split('\n')[0].slice(0, 500), begun: error?.begun ?? false };
}
