const request = require('supertest');
const app = require('../app');

describe('the app', () => {
	it('adds', () => request(app).get('/sum/1,2,3').expect(200, { sum: 6 }));
	it('knows what it does not have', () => request(app).get('/nowhere').expect(404));
});
