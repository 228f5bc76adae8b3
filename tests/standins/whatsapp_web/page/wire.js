// The page's line to the stand-in server: calls with answers, and pushes.

class ServerStatusCodeError extends Error {
    name = 'ServerStatusCodeError';
}

class Wire extends Emitter {
    constructor() {
        super();
        this.waiting = new Map();
        this.calls = 0;
    }

    open() {
        return new Promise((resolve, reject) => {
            this.socket = new WebSocket(`wss://${location.host}/wire`);
            let isOpen = false;
            this.socket.onopen = () => {
                isOpen = true;
                resolve();
            };
            this.socket.onerror = () => reject(new Error('no line'));
            this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
            this.socket.onclose = () => isOpen && this.trigger('closed');
        });
    }

    take(message) {
        if (message.push) {
            this.trigger(message.push, message.data);
            this.socket.send(JSON.stringify({ taken: message.number }));
            return;
        }
        const { resolve, reject } = this.waiting.get(message.id);
        this.waiting.delete(message.id);
        if (message.refusal) reject(Object.assign(new ServerStatusCodeError(message.refusal), { status: message.status }));
        else resolve(message.result);
    }

    call(op, args = {}) {
        return new Promise((resolve, reject) => {
            this.calls += 1;
            this.waiting.set(this.calls, { resolve, reject });
            this.socket.send(JSON.stringify({ id: this.calls, op, args }));
        });
    }
}

const wire = new Wire();
