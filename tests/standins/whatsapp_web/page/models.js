// What WhatsApp Web's own code is made of: ids, models that tell of their changes, and collections of them.

class Emitter {
    handlers = new Map();

    on(events, handler) {
        for (const event of events.split(' ')) this.handlers.set(event, [...(this.handlers.get(event) ?? []), handler]);
    }

    off(event, handler) {
        this.handlers.set(event, (this.handlers.get(event) ?? []).filter((one) => one !== handler));
    }

    once(event, handler) {
        const first = (...args) => {
            this.off(event, first);
            handler(...args);
        };
        this.on(event, first);
    }

    has(event) {
        return (this.handlers.get(event) ?? []).length > 0;
    }

    trigger(event, ...args) {
        for (const handler of [...(this.handlers.get(event) ?? [])]) handler(...args);
    }
}

const SERVERS = ['c.us', 'g.us', 'lid', 'broadcast', 'newsletter'];

class Wid {
    constructor(text) {
        const [user, server, ...rest] = String(text).split('@');
        if (!user || !SERVERS.includes(server) || rest.length || !/^[\w-]+$/.test(user)) throw new Error(`wid error: invalid wid ${text}`);
        this.server = server;
        this.user = user;
        this._serialized = `${user}@${server}`;
    }

    isLid() {
        return this.server === 'lid';
    }

    isGroup() {
        return this.server === 'g.us';
    }

    isUser() {
        return this.server === 'c.us' || this.server === 'lid';
    }

    isStatus() {
        return this._serialized === 'status@broadcast';
    }

    toString() {
        return this._serialized;
    }

    toJid() {
        return this._serialized.replace('@c.us', '@s.whatsapp.net');
    }
}

const widOf = (one) => (one === undefined || one === null ? undefined : one instanceof Wid ? one : new Wid(one._serialized ?? one));

class MsgKey {
    constructor({ from, to, id, participant, selfDir }) {
        this.fromMe = selfDir === 'out';
        this.remote = to;
        this.id = id;
        if (participant) this.participant = participant;
        this._serialized = `${this.fromMe}_${to}_${id}${participant ? `_${participant}` : ''}`;
        if (!from) throw new Error('MsgKey: from is missing');
    }

    static async newId() {
        return `3EB0${[...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join('')}`;
    }

    static fromString(text) {
        const [fromMe, to, id, participant] = text.split('_');
        return new MsgKey({ from: to, to: new Wid(to), id, participant: widOf(participant), selfDir: fromMe === 'true' ? 'out' : 'in' });
    }

    toString() {
        return this._serialized;
    }
}

class Model extends Emitter {
    constructor(attributes) {
        super();
        this.names = Object.keys(attributes);
        Object.assign(this, attributes);
    }

    /** As WhatsApp Web does: the attribute's own event on the model and on its collection, then one `change`. */
    set(attributes) {
        const changed = Object.keys(attributes).filter((name) => this[name] !== attributes[name]);
        const before = Object.fromEntries(changed.map((name) => [name, this[name]]));
        for (const name of changed) {
            this[name] = attributes[name];
            if (!this.names.includes(name)) this.names.push(name);
        }
        for (const name of changed) this.tell(`change:${name}`, this, this[name], before[name]);
        if (changed.length) this.tell('change', this);
    }

    tell(event, ...args) {
        this.trigger(event, ...args);
        if (!this.collection?.muted) this.collection?.trigger(event, ...args);
    }

    serialize() {
        return JSON.parse(JSON.stringify(Object.fromEntries(this.names.map((name) => [name, this[name]]))));
    }
}

class Collection extends Emitter {
    constructor() {
        super();
        this.models = new Map();
        this.muted = false;
    }

    get(id) {
        return this.models.get(String(id?._serialized ?? id));
    }

    add(model) {
        const id = String(model.id._serialized ?? model.id);
        if (this.models.has(id)) return this.models.get(id);
        this.models.set(id, model);
        model.collection ??= this;
        if (!this.muted) this.trigger('add', model);
        return model;
    }

    remove(id) {
        this.models.delete(String(id?._serialized ?? id));
    }

    getModelsArray() {
        return [...this.models.values()];
    }

    serialize() {
        return this.getModelsArray().map((model) => model.serialize());
    }
}
